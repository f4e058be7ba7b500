/** Brings a plugin: its wheels from the Python package index or from a folder, verified, unpacked, in place in one step. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Connection, DownloadError, fetchFile } from "../download/index.ts";
import { locked } from "../lock.ts";
import { type InstalledPlugin, installedPlugin, MANIFEST, type Manifest, pluginsFolder, WHEELS } from "./installed.ts";
import { connectIndex, INDEX_SETTING, refusalOf, wheelUrl } from "./package-index.ts";
import { type PipSettings, pipSettings } from "./pip-settings.ts";
import { unpackWheel } from "./unpack.ts";
import { type PluginName, type PluginRelease, pluginRelease, type Wheel } from "./wheels.ts";

export interface InstallOptions {
  /** @default plugins/ in the cache folder */
  readonly folder?: string;
  /** A folder with the wheels, or one wheel; nobody is asked then. @default the package index */
  readonly from?: string;
  /** @default PIP_INDEX_URL, pip's configuration, pip's own default */
  readonly index?: string;
  /** What is installed. @default the pinned release for this platform */
  readonly release?: PluginRelease;
  /** Tries without any progress before giving up. @default 5 */
  readonly attempts?: number;
  /** Milliseconds before the second try, doubled with each. @default 500 */
  readonly pause?: number;
  /** Stops; what was fetched is kept for the next time. */
  readonly signal?: AbortSignal;
  /** Bytes of all wheels that are there now; while unpacking, bytes written. */
  readonly onProgress?: (done: number, total: number, what: string) => void;
  readonly onNote?: (line: string) => void;
}

const PLACE = "CLIP_TS_CACHE";

/** The release for this platform. @throws one line if there is none */
export function releaseFor(name: PluginName): PluginRelease {
  const release = pluginRelease(name);
  if (release) return release;
  const hint =
    name === "cpu"
      ? "the CPU is served by --engine onnx; a plugin from elsewhere is used where PJRT_PLUGIN names its file"
      : "CUDA plugins are made for Linux on x64 and arm64; on Windows use WSL 2";
  throw new Error(`${name}: no plugin with a licence is published for ${process.platform} on ${process.arch}: ${hint}`);
}

export const downloadSize = ({ wheels }: PluginRelease): number => wheels.reduce((sum, { size }) => sum + size, 0);

/**
 * Installs a plugin unless the same one is there.
 * @throws a DownloadError, one line that says which wheel and what to do; what is installed already stays as it was
 */
export async function installPlugin(name: PluginName, options: InstallOptions = {}): Promise<InstalledPlugin> {
  const { folder: root = pluginsFolder(), release = releaseFor(name), signal, onNote } = options;
  await mkdir(root, { recursive: true });
  const run = async (): Promise<InstalledPlugin> => {
    const there = await installedPlugin(name, root);
    if (there && isSame(there, release)) return there;
    // As in every kept place: what a crash left is only in the way.
    for (const entry of await readdir(root))
      if (entry.startsWith(`.${name}.`)) await rm(join(root, entry), { recursive: true, force: true });
    const wheels =
      options.from === undefined ? await fetched(release, root, options) : await found(release, options.from);
    await unpacked(release, wheels, root, options);
    if (options.from === undefined) await rm(join(root, WHEELS, name), { recursive: true, force: true });
    const plugin = await installedPlugin(name, root);
    if (!plugin) throw new DownloadError(`${join(root, name)}: is gone already`);
    return plugin;
  };
  const waiting = (): void => onNote?.(`another process installs ${name}; waiting`);
  return locked(join(root, `.${name}-lock`), run, { signal, waiting });
}

const isSame = (there: Manifest, { wheels }: PluginRelease): boolean =>
  there.wheels.length === wheels.length && wheels.every(({ sha256 }, i) => there.wheels[i]?.sha256 === sha256);

/** Fetches what pip's folders do not have; paths in the order of the wheels. */
async function fetched(release: PluginRelease, root: string, options: InstallOptions): Promise<string[]> {
  const { name, wheels } = release;
  const { attempts = 5, pause = 500, signal, onProgress } = options;
  const settings = await pipSettings(options.index);
  const total = downloadSize(release);
  const connections = new Map<string, Connection>();
  const paths: string[] = [];
  let before = 0;
  try {
    for (const wheel of wheels) {
      const beside = await inFolders(wheel, settings.folders);
      const path = beside ?? join(root, WHEELS, name, wheel.file);
      if (!beside) {
        const persistence = { attempts, pause, signal };
        const { url, connection } = await locate(wheel, settings, connections, persistence);
        await fetchFile(path, {
          ...{ title: wheel.file, url, connection, persistence, placeSetting: PLACE },
          file: { size: wheel.size, checksum: "sha256", digest: wheel.sha256 },
          refusal: (answer) => refusalOf(wheel, connection, answer),
          onBytes: (count) => onProgress?.(before + count, total, wheel.package),
        });
      }
      before += wheel.size;
      if (beside) onProgress?.(before, total, wheel.package);
      paths.push(path);
    }
    return paths;
  } finally {
    for (const connection of connections.values()) await connection.close();
  }
}

/** Asks the indexes in turn. */
async function locate(
  wheel: Wheel,
  settings: PipSettings,
  connections: Map<string, Connection>,
  persistence: Parameters<typeof wheelUrl>[2],
): Promise<{ readonly url: string; readonly connection: Connection }> {
  for (const index of settings.indexes) {
    const connection = connections.get(index) ?? (await connectIndex(index, settings));
    connections.set(index, connection);
    const url = await wheelUrl(connection, wheel, persistence);
    if (url !== undefined) return { url, connection };
  }
  const asked = [...connections.values()].map(({ endpoint }) => endpoint).join(", ");
  throw new DownloadError(
    asked === ""
      ? `${wheel.file}: pip's setting no-index forbids to ask an index, and no folder of its setting find-links has the file`
      : `${wheel.file}: is not at ${asked} (${INDEX_SETTING} names another index; --from takes a folder with the wheels)`,
  );
}

async function inFolders(wheel: Wheel, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, wheel.file);
    if (await isWheel(path, wheel)) return path;
  }
  return undefined;
}

async function isWheel(path: string, { size, sha256 }: Wheel): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  if (!status?.isFile() || status.size !== size) return false;
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 }))
    if (piece instanceof Uint8Array) hash.update(piece);
  return hash.digest("hex") === sha256;
}

/** All wheels out of a folder that the user names, or the one. */
async function found({ name, wheels }: PluginRelease, from: string): Promise<string[]> {
  const status = await stat(from).catch(() => undefined);
  if (!status) throw new DownloadError(`${from}: there is no such folder or wheel`);
  const folder = status.isFile() ? dirname(from) : from;
  if (status.isFile() && !wheels.some(({ file }) => file === basename(from)))
    throw new DownloadError(`${from}: is no wheel of ${name}, expected ${wheels.map(({ file }) => file).join(", ")}`);
  const paths: string[] = [];
  const missing: string[] = [];
  for (const wheel of wheels) {
    const path = join(folder, wheel.file);
    if (!(await stat(path).catch(() => undefined))) missing.push(wheel.file);
    else if (await isWheel(path, wheel)) paths.push(path);
    else
      throw new DownloadError(
        `${path}: is another file than the pinned one (${wheel.size} bytes, SHA-256 ${wheel.sha256}): damaged, or not what it says`,
      );
  }
  if (missing.length > 0)
    throw new DownloadError(
      `${folder}: lacks ${missing.join(", ")}; where there is a network: pip download --no-deps ${wheels.map((wheel) => `${wheel.package}==${wheel.version}`).join(" ")}`,
    );
  return paths;
}

async function unpacked(
  release: PluginRelease,
  paths: readonly string[],
  root: string,
  { signal, onProgress }: InstallOptions,
): Promise<void> {
  const { name, version, wheels } = release;
  const place = join(root, name);
  const beside = join(root, `.${name}.${randomBytes(6).toString("hex")}`);
  let written = 0;
  try {
    for (const path of paths)
      await unpackWheel(path, beside, {
        // A margin for what is known only about: the table has the sum of all.
        ...{ largest: 1.25 * release.unpacked + 2 ** 20, placeSetting: PLACE, signal },
        onBytes: (count) => {
          written += count;
          onProgress?.(Math.min(written, release.unpacked), release.unpacked, `unpacking ${basename(path)}`);
        },
      });
    const manifest: Manifest = {
      ...{ name, version },
      wheels: wheels.map(({ package: from, version: of, sha256, licence }) => ({
        ...{ package: from, version: of, sha256, licence },
      })),
    };
    await writeFile(join(beside, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true });
    // Processes that have the old one open keep it on systems that allow that; on the others this fails, and says so.
    await rm(place, { recursive: true, force: true });
    await rename(beside, place);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}
