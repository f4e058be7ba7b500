/** A model's name becomes a folder: out of the cache, or from the hub into it. */
import { type Connection, connect, DownloadError, fetchFile, type Persistence } from "../download/index.ts";
import { locked } from "../lock.ts";
import { cacheFolder, type RepositoryCache, repositoryCache, savedToken } from "./cache.ts";
import { chooseFiles } from "./choose-files.ts";
import { type HubFile, type Listing, listRepository, refusalOf } from "./listing.ts";
import { type HubName, isCommit } from "./name.ts";

export interface DownloadProgress {
  /** The file that bytes came for. */
  readonly file: string;
  /** Bytes of all files that are there now, those of an earlier try included. */
  readonly received: number;
  /** Bytes of all files that were not in the cache. */
  readonly total: number;
}

export interface HubOptions {
  /** Ask nobody, use what the cache has. @default the variable HF_HUB_OFFLINE */
  readonly offline?: boolean;
  /** @default HF_HUB_CACHE, or hub/ in HF_HOME, or huggingface/hub/ in XDG_CACHE_HOME or ~/.cache: Python's cache */
  readonly cacheFolder?: string;
  /** @default HF_ENDPOINT, or the public hub */
  readonly endpoint?: string;
  /** For private and gated models; sent to the endpoint alone. Empty: none. @default HF_TOKEN, or what the hub's own command saved */
  readonly token?: string;
  /** Milliseconds without a connection, an answer or a further byte. @default 30,000 */
  readonly timeout?: number;
  /** Tries without any progress before giving up. @default 5 */
  readonly attempts?: number;
  /** Milliseconds before the second try, doubled with each. @default 500 */
  readonly pause?: number;
  /** Bytes that are fetched at most for a model. @default 100 GB */
  readonly largest?: number;
  /** Follow redirects of a public hub to private addresses too. @default false */
  readonly allowPrivateRedirects?: boolean;
  /** Stops; what was fetched is kept for the next time. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Told in one line what else matters: the hub is not reached and the cache is used; another process downloads. */
  readonly onNote?: (line: string) => void;
}

const LARGEST = 100e9;
/** Files of a model that are fetched at the same time. */
const AT_ONCE = 4;

/**
 * The folder with a model's files: weights in one format (safetensors where there are), configuration, tokenizer.
 * @throws a DownloadError, one line that says which model and what to do
 */
export async function fetchModel(name: HubName, options: HubOptions = {}): Promise<string> {
  const cache = repositoryCache(options.cacheFolder ?? cacheFolder(), name);
  const { repository, revision } = name;
  const called = revision === "main" ? repository : `${repository}@${revision}`;
  const cached = await completeSnapshot(cache, revision);
  if (options.offline ?? isOffline()) {
    if (cached !== undefined) return cached;
    throw new DownloadError(`${called}: is not in the cache ${cache.root}, and offline mode forbids to fetch it`);
  }
  // A commit never changes.
  if (cached !== undefined && isCommit(revision)) return cached;
  const token = (options.token ?? (await savedToken())) || undefined;
  const connection = await connect({
    endpoint: options.endpoint ?? process.env.HF_ENDPOINT ?? (await publicHub()),
    name: "the hub",
    setting: "HF_ENDPOINT",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    timeout: options.timeout ?? 30_000,
    allowPrivateRedirects: options.allowPrivateRedirects ?? false,
  });
  const { attempts = 5, pause = 500, signal } = options;
  const persistence = { attempts, pause, signal };
  const hasToken = token !== undefined;
  try {
    // With the model in the cache nobody needs to wait for a hub that is not there.
    const asking = cached === undefined ? persistence : { ...persistence, attempts: 1 };
    const listing = await listRepository(name, connection, hasToken, asking);
    return await fetchListed({ name, cache, connection, hasToken, persistence, options }, listing);
  } catch (error) {
    if (cached === undefined || !(error instanceof DownloadError && error.passing)) throw error;
    options.onNote?.(`${error.message}; using what the cache has`);
    return cached;
  } finally {
    await connection.close();
  }
}

/** A snapshot that has all that a model needs, as far as can be seen without asking. */
async function completeSnapshot(cache: RepositoryCache, revision: string): Promise<string | undefined> {
  const commit = await cache.commitOf(revision);
  if (commit === undefined) return undefined;
  return chooseFiles([...(await cache.filesOf(commit)).keys()]) && cache.snapshot(commit);
}

/** What all of a model's files are fetched with. */
interface Fetching {
  readonly name: HubName;
  readonly cache: RepositoryCache;
  readonly connection: Connection;
  readonly hasToken: boolean;
  readonly persistence: Persistence;
  readonly options: HubOptions;
}

async function fetchListed(fetching: Fetching, { commit, files }: Listing): Promise<string> {
  const { name, cache, options } = fetching;
  const { repository, revision } = name;
  const chosen = filesOfModel(repository, files);
  const there = await cache.filesOf(commit);
  const missing = chosen.filter((file) => there.get(file.name) !== file.size);
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  const { largest = LARGEST } = options;
  if (total > largest)
    throw new DownloadError(`${repository}: ${total} bytes to fetch, more than the ${largest} allowed`);
  await fetchAll(fetching, commit, missing, total);
  // Only now: whoever goes by the revision finds a snapshot that is whole. A cache that cannot be written is still one.
  await cache.setCommitOf(revision, commit).catch(() => {});
  return cache.snapshot(commit);
}

/** @throws a DownloadError if they are those of no model */
function filesOfModel(repository: string, files: readonly HubFile[]): readonly HubFile[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const chosen = chooseFiles([...byName.keys()]);
  if (!chosen)
    throw new DownloadError(
      `${repository}: holds no CLIP model that can be read: expected open_clip_config.json or config.json with weights in safetensors or PyTorch's format`,
    );
  return chosen.flatMap((name) => byName.get(name) ?? []);
}

/** Some files at a time. The first failure ends the others, which keep what they have. */
async function fetchAll(fetching: Fetching, commit: string, files: readonly HubFile[], total: number): Promise<void> {
  const { onProgress, signal: given } = fetching.options;
  const stop = new AbortController();
  const signal = given ? AbortSignal.any([stop.signal, given]) : stop.signal;
  const received = new Map<string, number>();
  const queue = [...files];
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file && !signal.aborted; file = queue.shift()) {
      const { name } = file;
      await fetchIntoCache(fetching, commit, file, signal, (count) => {
        received.set(name, count);
        onProgress?.({ file: name, received: [...received.values()].reduce((sum, n) => sum + n, 0), total });
      });
    }
  };
  const workers = Array.from({ length: Math.min(AT_ONCE, queue.length) }, () =>
    worker().catch((error) => {
      stop.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(workers);
  if (stop.signal.aborted || given?.aborted) throw given?.reason ?? stop.signal.reason;
}

/** @param onBytes told how many of the file's bytes are there now */
async function fetchIntoCache(
  { name, cache, connection, hasToken, persistence, options }: Fetching,
  commit: string,
  { name: file, size, checksum, etag }: HubFile,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  const { repository } = name;
  const title = `${repository}: ${file}`;
  const path = file.split("/").map(encodeURIComponent).join("/");
  const waiting = (): void => options.onNote?.(`${title}: another process downloads it; waiting`);
  const fetchAndShow = async (): Promise<void> => {
    await fetchFile(cache.blob(etag), {
      title,
      url: `${connection.endpoint}/${repository}/resolve/${commit}/${path}`,
      file: { size, checksum, digest: etag },
      connection,
      placeSetting: "HF_HUB_CACHE",
      persistence: { ...persistence, signal },
      refusal: (answer) => refusalOf(name, connection, hasToken, answer),
      onBytes,
    });
    await cache.link(commit, file, etag);
  };
  await locked(cache.lock(etag), fetchAndShow, { signal, waiting });
}

/** As Python's library reads it. */
function isOffline(): boolean {
  const { HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE } = process.env;
  return /^(1|on|yes|true)$/i.test(HF_HUB_OFFLINE || TRANSFORMERS_OFFLINE || "");
}

async function publicHub(): Promise<string> {
  const { HUB_URL } = await import("@huggingface/hub");
  return HUB_URL;
}
