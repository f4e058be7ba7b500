/** Where an index has a file: the Simple API in JSON (PEP 691), or as a page of links (PEP 503), which is all that some mirrors have. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import {
  type Answer,
  type Connection,
  connect,
  DownloadError,
  isPassing,
  isPassingStatus,
  type Persistence,
  persistently,
  readText,
  reasonOf,
} from "../download/index.ts";
import type { PipSettings } from "./pip-settings.ts";
import type { Wheel } from "./wheels.ts";

const JSON_TYPE = "application/vnd.pypi.simple.v1+json";
/** How indexes are named where none is in the message already. */
export const INDEX_SETTING = "--index, PIP_INDEX_URL or pip's configuration";

const pageSchema = z.object({
  files: z.array(z.object({ filename: z.string(), url: z.string(), hashes: z.record(z.string(), z.string()) })),
});

/** @param index with or without a user and password, which go into a header and nowhere else */
export async function connectIndex(index: string, { certificates, proxy, timeout }: PipSettings): Promise<Connection> {
  const url = URL.canParse(index) ? new URL(index) : undefined;
  const [user, password] = [url?.username ?? "", url?.password ?? ""].map(decodeURIComponent);
  if (url) {
    url.username = "";
    url.password = "";
  }
  const pem = certificates === undefined ? undefined : await readFile(certificates, "utf8").catch(unreadable);
  return connect({
    name: "the package index",
    setting: INDEX_SETTING,
    endpoint: url?.href ?? index,
    authorization: user ? `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` : undefined,
    ca: pem === undefined ? undefined : [pem],
    proxy,
    timeout,
    allowPrivateRedirects: false,
  });

  function unreadable(error: unknown): never {
    throw new DownloadError(`${certificates}: cannot read these certificates (pip's setting cert): ${reasonOf(error)}`);
  }
}

/**
 * The address of a wheel.
 * @returns undefined if the index does not have it
 * @throws a DownloadError if the index is not reached, or has another file by that name
 */
export async function wheelUrl(
  connection: Connection,
  wheel: Wheel,
  persistence: Persistence,
): Promise<string | undefined> {
  const page = `${connection.endpoint}/${wheel.package}/`;
  const ask = async (): Promise<string | undefined> => {
    const answer = await connection.get(page, { accept: `${JSON_TYPE}, text/html;q=0.5` }, persistence.signal);
    if (answer.status !== 200) {
      answer.discard();
      if (answer.status === 404) return undefined;
      throw refusalOf(wheel, connection, answer);
    }
    const found = linkIn(wheel, answer, await readText(answer, connection.name));
    if (!found) return undefined;
    if (found.sha256 !== undefined && found.sha256 !== wheel.sha256)
      throw new DownloadError(
        `${wheel.file}: ${connection.endpoint} has a file of that name with the SHA-256 ${found.sha256.slice(0, 80)}, expected ${wheel.sha256}: not fetched`,
      );
    return new URL(found.url, answer.url).href;
  };
  try {
    return await persistently(ask, persistence);
  } catch (error) {
    if (error instanceof DownloadError || persistence.signal?.aborted) throw error;
    throw new DownloadError(
      `${wheel.package}: cannot ask the package index at ${connection.endpoint}: ${reasonOf(error)} (${INDEX_SETTING} names another)`,
      isPassing(error) ? { passing: true } : {},
      error,
    );
  }
}

interface Link {
  readonly url: string;
  readonly sha256: string | undefined;
}

function linkIn({ file, package: name }: Wheel, answer: Answer, text: string): Link | undefined {
  if (!/json/i.test(answer.header("content-type") ?? "")) return linkInPage(file, text);
  let page: unknown;
  try {
    page = JSON.parse(text);
  } catch {}
  const { data } = pageSchema.safeParse(page);
  if (!data) throw new DownloadError(`${name}: cannot read the answer of the package index at ${answer.url}`);
  const entry = data.files.find(({ filename, url }) => filename === file && URL.canParse(url, answer.url));
  return entry && { url: entry.url, sha256: entry.hashes.sha256 };
}

/** The link whose address ends in the file's name: no other part of the page is of use, so no HTML library is. */
function linkInPage(file: string, text: string): Link | undefined {
  for (const [, , link = ""] of text.matchAll(/<a\b[^>]{0,1000}?\bhref\s*=\s*(["'])([^"']{1,4000})\1/gi)) {
    const [url = "", fragment = ""] = link.replaceAll("&amp;", "&").split("#");
    const [path = ""] = url.split("?");
    if (decoded(path.split("/").at(-1) ?? "") === file)
      return { url, sha256: /(?:^|&)sha256=([0-9a-f]{64})/.exec(fragment)?.[1] };
  }
  return undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The line for an answer that has neither a page nor a file. */
export function refusalOf({ package: name }: Wheel, { endpoint }: Connection, { status }: Answer): DownloadError {
  const passing = isPassingStatus(status);
  const why =
    status === 401 || status === 403
      ? "refuses it; a user and password belong into its address (https://user:password@host/...)"
      : status === 404
        ? "does not have the file that it lists"
        : `fails (status ${status})${passing ? ": try again later" : ""}`;
  return new DownloadError(`${name}: the package index at ${endpoint} ${why}`, { status, passing });
}
