/** What goes wrong between us and a server. */

export interface DownloadFailure {
  /** The same request may succeed later: a cut, a stall, a busy server. */
  readonly passing?: boolean;
  /** HTTP status, if there was an answer. */
  readonly status?: number;
  /** Milliseconds that the server asks to wait. */
  readonly wait?: number;
}

/** One line that says which file, what happened and what to do. */
export class DownloadError extends Error {
  readonly passing: boolean;
  readonly status: number | undefined;
  readonly wait: number | undefined;

  constructor(message: string, { passing = false, status, wait }: DownloadFailure = {}, cause?: unknown) {
    super(message, { cause });
    this.name = "DownloadError";
    this.passing = passing;
    this.status = status;
    this.wait = wait;
  }
}

/** Codes of Node and undici for connections that were not made, were cut or went silent. */
const PASSING =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ENETDOWN|UND_ERR_(SOCKET|CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT|RES_CONTENT_LENGTH_MISMATCH|CLOSED|DESTROYED)|HPE_.*)$/;

/** Whether trying again may help. */
export function isPassing(error: unknown): boolean {
  if (error instanceof DownloadError) return error.passing;
  return PASSING.test(codeOf(error));
}

/** Whether a server that answers so may answer otherwise later. */
export const isPassingStatus = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/** In a few words, for the end of a line. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "its address is not found (no network?)";
  if (code === "ECONNREFUSED") return "it refuses the connection";
  if (code.endsWith("_TIMEOUT") || code === "ETIMEDOUT") return "it does not answer in time";
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "EPIPE") return "the connection was cut";
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

/** Of the error, or of the first below it that has one: a failed connection to several addresses comes as a bundle. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  if ("code" in error && typeof error.code === "string") return error.code;
  return error instanceof AggregateError ? codeOf(error.errors[0]) : codeOf(error.cause);
}

export interface Persistence {
  /** Tries without any progress before giving up. */
  readonly attempts: number;
  /** Milliseconds before the second try; doubles with each. */
  readonly pause: number;
  readonly signal?: AbortSignal | undefined;
}

/** No server makes us wait longer than this, in milliseconds. */
const LONGEST_PAUSE = 60_000;

/**
 * Tries again after passing failures.
 * @param progress how far it has come; a try that moves it does not count as one without progress
 */
export async function persistently<T>(
  run: () => Promise<T>,
  { attempts, pause, signal }: Persistence,
  progress: () => number = () => 0,
): Promise<T> {
  const { setTimeout: sleep } = await import("node:timers/promises");
  for (let failures = 0; ; ) {
    const before = progress();
    try {
      return await run();
    } catch (error) {
      signal?.throwIfAborted();
      failures = progress() === before ? failures + 1 : 1;
      if (failures >= attempts || !isPassing(error)) throw error;
      const asked = error instanceof DownloadError ? error.wait : undefined;
      // A random part, so that many who were cut at the same time do not come back at the same time.
      const own = pause * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
      await sleep(Math.min(asked ?? own, LONGEST_PAUSE), undefined, signal ? { signal } : {});
    }
  }
}
