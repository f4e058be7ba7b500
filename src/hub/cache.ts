/**
 * The cache that Python's huggingface_hub keeps, so that neither fetches again what the other has:
 * `models--org--name/` with `blobs/<checksum>`, `snapshots/<commit>/<file>` (links to blobs) and `refs/<revision>`.
 * @huggingface/hub knows the same layout, but its downloads start anew after a cut, check no sum, run into each other in
 * two processes and print; its look-up of the folder leaves `~` and `$HOME` in the variables as they are.
 */
import { randomUUID } from "node:crypto";
import { copyFile, link, mkdir, readdir, readFile, realpath, rename, stat, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { writeFileAtomic } from "../checkpoint/index.ts";
import { type HubName, isCommit } from "./name.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where Python's library keeps its cache, by the same variables in the same order. */
export function cacheFolder(environment: Environment = process.env): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE } = environment;
  return expanded(HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(home(environment), "hub"), environment);
}

function home(environment: Environment): string {
  const { HF_HOME, XDG_CACHE_HOME } = environment;
  return expanded(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"), environment);
}

function expanded(path: string, environment: Environment): string {
  const filled = path.replace(/\$(?:\{(\w+)\}|(\w+))/g, (all, braced, plain) => environment[braced ?? plain] ?? all);
  return filled.replace(/^~(?=$|[/\\])/, () => homedir());
}

/** The user's token for the hub: HF_TOKEN, or what the hub's own command saved. */
export async function savedToken(environment: Environment = process.env): Promise<string | undefined> {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = environment;
  const path = expanded(HF_TOKEN_PATH || join(home(environment), "token"), environment);
  const token = HF_TOKEN || HUGGING_FACE_HUB_TOKEN || (await readFile(path, "utf8").catch(() => ""));
  // It becomes a header: white space around it is a slip, anything else that no header can hold is no token.
  const trimmed = token.trim();
  return /^[\x21-\x7e]+$/.test(trimmed) ? trimmed : undefined;
}

/** One model's place in the cache. */
export interface RepositoryCache {
  /** The whole cache's folder. */
  readonly root: string;
  snapshot(commit: string): string;
  blob(etag: string): string;
  /** The lock that belongs to a blob. */
  lock(etag: string): string;
  /** The commit that a revision was when it was last fetched. */
  commitOf(revision: string): Promise<string | undefined>;
  setCommitOf(revision: string, commit: string): Promise<void>;
  /** The files of a snapshot whose bytes are there, with their sizes. */
  filesOf(commit: string): Promise<ReadonlyMap<string, number>>;
  /** Shows a blob as a file of a snapshot. */
  link(commit: string, name: string, etag: string): Promise<void>;
}

export function repositoryCache(root: string, { repository }: Pick<HubName, "repository">): RepositoryCache {
  const folder = `models--${repository.replace("/", "--")}`;
  const place = join(root, folder);
  const snapshot = (commit: string): string => join(place, "snapshots", commit);
  const blob = (etag: string): string => join(place, "blobs", etag);
  return {
    root,
    snapshot,
    blob,
    // Beside Python's locks, not the same file: those are advisory locks of the system, which Node cannot take.
    lock: (etag) => join(root, ".locks", folder, `${etag}.clip-ts.lock`),
    async commitOf(revision) {
      if (isCommit(revision)) return revision;
      const text = await readFile(join(place, "refs", ...revision.split("/")), "utf8").catch(() => "");
      return isCommit(text.trim()) ? text.trim() : undefined;
    },
    async setCommitOf(revision, commit) {
      if (revision === commit || (await this.commitOf(revision)) === commit) return;
      const path = join(place, "refs", ...revision.split("/"));
      await mkdir(dirname(path), { recursive: true });
      await writeFileAtomic(path, new TextEncoder().encode(commit));
    },
    async filesOf(commit) {
      const inside = await realpath(root).catch(() => root);
      const found = new Map<string, number>();
      for (const name of await readdir(snapshot(commit)).catch(() => [])) {
        const path = join(snapshot(commit), name);
        // A link that leads out of the cache was not made by a download.
        const target = await realpath(path).catch(() => "");
        const status = target.startsWith(inside + sep) ? await stat(target).catch(() => undefined) : undefined;
        if (status?.isFile()) found.set(name, status.size);
      }
      return found;
    },
    async link(commit, name, etag) {
      const path = join(snapshot(commit), name);
      await mkdir(dirname(path), { recursive: true });
      const [linked, target] = await Promise.all([realpath(path).catch(() => ""), realpath(blob(etag))]);
      if (linked === target) return;
      // Renamed into place: another process may be reading what is there.
      const beside = `${path}.${randomUUID()}.tmp`;
      // Relative, so that the cache can be moved. Windows allows links to few: then a second name, or a copy.
      await symlink(relative(dirname(path), blob(etag)), beside, "file").catch(() =>
        link(blob(etag), beside).catch(() => copyFile(blob(etag), beside)),
      );
      await rename(beside, path);
    },
  };
}
