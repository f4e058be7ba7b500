/** What the hub says of a repository: the commit behind a revision, and its files. */
import { z } from "zod";
import {
  type Answer,
  type Connection,
  DownloadError,
  isPassing,
  isPassingStatus,
  isSafePath,
  type Persistence,
  persistently,
  readText,
  reasonOf,
} from "../download/index.ts";
import { type HubName, isCommit } from "./name.ts";

export interface HubFile {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Its name among the cache's blobs, and its checksum: SHA-256 of a large file, git's SHA-1 of a small one. */
  readonly etag: string;
  readonly checksum: "sha256" | "git-sha1";
}

export interface Listing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** A model's folder has some dozen files. */
const MOST_FILES = 10_000;
/** 1 TiB: beyond every model, and far from where numbers lose their units. */
const LARGEST_FILE = 2 ** 40;

const sha1 = z.string().regex(/^[0-9a-f]{40}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const size = z.int().min(0).max(LARGEST_FILE);
const entrySchema = z.object({
  type: z.string(),
  path: z.string().min(1).max(1024),
  size: size.optional(),
  oid: z.string().optional(),
  lfs: z.object({ oid: sha256, size }).optional(),
});

/**
 * Asks the hub.
 * @throws a DownloadError: there is no such model, it is private or gated, the token is refused, the hub does not answer
 */
export async function listRepository(
  name: HubName,
  connection: Connection,
  hasToken: boolean,
  persistence: Persistence,
): Promise<Listing> {
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const fetch = fetchOver(
    connection,
    (answer, body) => refusalOf(name, connection, hasToken, answer, body),
    persistence,
  );
  const hubUrl = connection.endpoint;
  const { repository, revision } = name;
  try {
    const { sha } = await modelInfo({ name: repository, revision, additionalFields: ["sha"], hubUrl, fetch });
    if (typeof sha !== "string" || !isCommit(sha))
      throw new DownloadError(
        `${repository}: the hub answers with ${JSON.stringify(sha) ?? "nothing"} where a commit belongs`,
      );
    const files: HubFile[] = [];
    let entries = 0;
    // What a model needs stands in the outermost folder.
    for await (const entry of listFiles({ repo: { type: "model", name: repository }, revision: sha, hubUrl, fetch })) {
      if (++entries > MOST_FILES) throw new DownloadError(`${repository}: the hub lists more than ${MOST_FILES} files`);
      const file = fileOf(repository, entry);
      if (file) files.push(file);
    }
    return { commit: sha, files };
  } catch (error) {
    if (error instanceof DownloadError || persistence.signal?.aborted) throw error;
    const what = isPassing(error) ? "cannot ask the hub at" : "cannot read the answer of the hub at";
    throw new DownloadError(
      `${repository}: ${what} ${hubUrl}: ${reasonOf(error)}`,
      isPassing(error) ? { passing: true } : {},
      error,
    );
  }
}

function fileOf(repository: string, entry: unknown): HubFile | undefined {
  const { data } = entrySchema.safeParse(entry);
  if (!data) throw new DownloadError(`${repository}: the hub lists an entry that cannot be read: ${shown(entry)}`);
  const { type, path, oid, lfs } = data;
  if (!isSafePath(path))
    throw new DownloadError(`${repository}: the hub lists a file with the unsafe name ${shown(path)}`);
  if (type !== "file") return undefined;
  if (lfs) return { name: path, size: lfs.size, etag: lfs.oid, checksum: "sha256" };
  if (data.size === undefined || !sha1.safeParse(oid).success || oid === undefined)
    throw new DownloadError(`${repository}: the hub lists ${shown(path)} without its size or checksum`);
  return { name: path, size: data.size, etag: oid, checksum: "git-sha1" };
}

/** `fetch` for @huggingface/hub, which itself has no timeouts, no bounds, no second tries, and follows any redirect. */
function fetchOver(
  connection: Connection,
  refusal: (answer: Answer, body: string) => DownloadError,
  persistence: Persistence,
): typeof globalThis.fetch {
  return (input) =>
    persistently(async () => {
      const url = input instanceof Request ? input.url : String(input);
      const answer = await connection.get(url, { accept: "application/json" }, persistence.signal);
      const body = await readText(answer, connection.name);
      if (answer.status !== 200) throw refusal(answer, body);
      const link = answer.header("link");
      return new Response(body, { headers: { "content-type": "application/json", ...(link ? { link } : {}) } });
    }, persistence);
}

/** The line for an answer that is none; the hub says more in headers of its own. */
export function refusalOf(
  { repository, revision }: HubName,
  { endpoint }: Connection,
  hasToken: boolean,
  answer: Answer,
  body = "",
): DownloadError {
  const { status } = answer;
  const code = answer.header("x-error-code");
  const said = answer.header("x-error-message") ?? sayingOf(body);
  const page = `${endpoint}/${repository}`;
  const fail = (line: string): DownloadError => new DownloadError(`${repository}: ${line}`, { status });
  if (code === "GatedRepo")
    return fail(
      hasToken
        ? `is gated, and your token has no access yet: ask for it at ${page}`
        : `is gated: accept its conditions at ${page}, then set HF_TOKEN to a token of yours (or log in with the hub's own command)`,
    );
  if (code === "DisabledRepo") return fail(`was disabled by the hub: see ${page}`);
  if (code === "RevisionNotFound") return fail(`has no branch, tag or commit ${revision}: see ${page}/commits`);
  if (status === 401 && hasToken)
    return fail(`the hub refuses your token (HF_TOKEN, or the file that it was saved to)`);
  if (status === 401 || status === 404)
    return fail(
      `there is no such model at ${endpoint}${hasToken ? ", or your token may not see it" : ", or it is private: then set HF_TOKEN"}`,
    );
  if (status === 403) return fail(`the hub forbids it (status 403${said ? `: ${said}` : ""}): see ${page}`);
  const wait = waitOf(answer.header("retry-after"));
  const passing = isPassingStatus(status);
  const line = status === 429 ? "the hub has had too many requests from here" : "the hub fails";
  return new DownloadError(`${repository}: ${line} (status ${status}${said ? `: ${said}` : ""}): try again later`, {
    status,
    passing,
    ...(wait === undefined ? {} : { wait }),
  });
}

/** Milliseconds of a Retry-After header in seconds; a date is not worth reading. */
function waitOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text.trim()) ? Number(text) * 1000 : undefined;
}

function sayingOf(body: string): string | undefined {
  try {
    const { data } = z.object({ error: z.string() }).safeParse(JSON.parse(body));
    return data && shown(data.error).slice(1, -1);
  } catch {
    return undefined;
  }
}

/** A stranger's text on one line, not too long. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
