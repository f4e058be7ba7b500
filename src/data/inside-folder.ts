import { lstatSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve, sep, win32 } from "node:path";

/** Nothing is wrong with the name, but there is no such file. */
export class NotThere extends Error {}

/**
 * Finds files that a table names, and none outside the folder: a table from elsewhere must not make a training run read
 * (and show) other files of the machine.
 * @throws one line if `folder` is not a folder.
 */
export function openFolder(folder: string): (file: string) => string {
  let root: string;
  try {
    root = realpathSync(folder);
  } catch {
    throw new Error(`${folder}: there is no such folder`);
  }
  if (!statSync(root).isDirectory()) throw new Error(`${folder}: expected a folder, got a file`);
  const isInside = (path: string): boolean => {
    const way = relative(root, path);
    return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
  };
  const isFolderInside = new Map<string, boolean>();

  /**
   * The whole path of a file given relative to the folder, or as a whole path into it.
   * @throws what is wrong with it, without saying where it stands: `NotThere` if only the file is missing.
   */
  return (file) => {
    const name = JSON.stringify(file);
    if (file === "" || file.includes("\0")) throw new Error(`expected the path of a file, got ${name}`);
    const way = isAbsolute(file) ? relative(resolve(folder), file) : file;
    if (isAbsolute(way) || win32.isAbsolute(way) || /^[a-z]:/i.test(way) || way.split(/[\\/]/).includes(".."))
      throw new Error(`expected a path inside ${folder}, got ${name}`);
    const path = join(root, way);
    try {
      const parent = dirname(path);
      let inside = isFolderInside.get(parent);
      if (inside === undefined) {
        inside = isInside(realpathSync(parent));
        isFolderInside.set(parent, inside);
      }
      const stats = lstatSync(path);
      if (inside && stats.isFile()) return path;
      if (inside && stats.isSymbolicLink() && isInside(realpathSync(path)) && statSync(path).isFile()) return path;
      if (inside && stats.isDirectory()) throw new Error("EISDIR");
    } catch (error) {
      if (error instanceof Error && error.message === "EISDIR")
        throw new Error(`${name} is a folder, not a file, looked for in ${folder}`);
      throw new NotThere(`${name} is not there, looked for in ${folder}`);
    }
    throw new Error(`${name} leads out of ${folder} or is no plain file`);
  };
}
