/** A server that speaks the hub's protocol, and a second one as the store that large files are redirected to; both misbehave on demand. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Repository {
  readonly commit: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Names of files in large-file storage. */
  readonly large?: readonly string[];
  /** The token that may see it. */
  readonly token?: string;
  readonly gated?: boolean;
}

/** What happens to the next request for a file, in turn; after the last all is well. */
export type Fault =
  | { readonly kind: "cut"; readonly after: number }
  | { readonly kind: "stall"; readonly after: number }
  | { readonly kind: "wrong" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: "no range" }
  | { readonly kind: "wrong range" }
  | { readonly kind: "too long" }
  | { readonly kind: "redirect"; readonly to: string };

export interface Asked {
  readonly server: "hub" | "store";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface FakeHub {
  readonly url: string;
  readonly asked: Asked[];
  readonly repositories: Map<string, Repository>;
  /** By file name, or by path for the API. */
  readonly faults: Map<string, Fault[]>;
  /** Entries that the listing has besides the files. */
  readonly extraEntries: unknown[];
  /** Milliseconds between pieces of 64 KiB. */
  slowness: number;
  /** The store's answers wait for it in the middle. */
  held: Promise<unknown> | undefined;
  close(): Promise<void>;
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
export const gitSha1 = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

const REVISION = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/?]+)/;
const TREE = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/?]+)/;
const RESOLVE = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/;

export async function startHub(): Promise<FakeHub> {
  const asked: Asked[] = [];
  const repositories = new Map<string, Repository>();
  const faults = new Map<string, Fault[]>();
  const extraEntries: unknown[] = [];
  const next = (key: string): Fault | undefined => faults.get(key)?.shift();
  const note = (server: Asked["server"], request: IncomingMessage): string => {
    const [path = ""] = (request.url ?? "").split("?");
    const { range, authorization } = request.headers;
    asked.push({ server, method: request.method ?? "", path, range, authorization });
    return path;
  };

  const store = createServer((request, response) => {
    const path = note("store", request);
    const [, repository = "", name = ""] = /^\/store\/([^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
    const bytes = repositories.get(repository)?.files[name];
    if (!bytes) return answer(response, 404, {}, "");
    send(request, response, bytes, { etag: '"an etag of the store"' }, next(name), hub.slowness, hub.held);
  });
  const front = createServer((request, response) => {
    const path = note("hub", request);
    const fault = path.startsWith("/api/") ? next(path) : undefined;
    if (fault?.kind === "status") return answer(response, fault.status, fault.headers ?? {}, "<html>busy</html>");
    if (fault?.kind === "stall") return;
    if (fault?.kind === "redirect") return answer(response, 302, { location: fault.to }, "");
    const match = REVISION.exec(path) ?? TREE.exec(path) ?? RESOLVE.exec(path) ?? [];
    const [, name = "", revision = "", file] = match.map(decodeURIComponent);
    const repository = repositories.get(name);
    if (request.headers.authorization === "Bearer hf_expired")
      return answer(response, 401, { "x-error-message": "Invalid credentials in Authorization header" }, "");
    if (
      !repository ||
      (repository.token && !repository.gated && request.headers.authorization !== `Bearer ${repository.token}`)
    )
      return refuse(response, request.headers.authorization ? 404 : 401, "RepoNotFound", "Repository not found");
    if (revision !== "main" && revision !== "v1/beta" && revision !== repository.commit)
      return refuse(response, 404, "RevisionNotFound", "Invalid rev id");
    if (REVISION.test(path)) {
      const siblings = Object.keys(repository.files).map((rfilename) => ({ rfilename }));
      return json(response, { id: name, modelId: name, sha: repository.commit, private: false, siblings });
    }
    if (TREE.test(path)) return json(response, [...entries(repository), ...extraEntries]);
    if (repository.gated && request.headers.authorization !== `Bearer ${repository.token}`)
      return refuse(
        response,
        request.headers.authorization ? 403 : 401,
        "GatedRepo",
        `Access to ${name} is restricted`,
      );
    const bytes = file === undefined ? undefined : repository.files[file];
    if (!bytes || file === undefined) return refuse(response, 404, "EntryNotFound", "Entry not found");
    const headers = { "x-repo-commit": repository.commit, "accept-ranges": "bytes" };
    if (!repository.large?.includes(file))
      return send(request, response, bytes, { ...headers, etag: `"${gitSha1(bytes)}"` }, next(file), hub.slowness);
    const [first] = faults.get(file) ?? [];
    if (first?.kind === "redirect") faults.get(file)?.shift();
    const location = first?.kind === "redirect" ? first.to : `${addressOf(store)}/store/${name}/${file}`;
    const linked = { "x-linked-etag": `"${sha256(bytes)}"`, "x-linked-size": String(bytes.length) };
    answer(response, 302, { ...headers, ...linked, etag: `"${gitSha1(bytes)}"`, location }, "");
  });
  await Promise.all([front, store].map((server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done))));
  const hub: FakeHub = {
    url: addressOf(front),
    asked,
    repositories,
    faults,
    extraEntries,
    slowness: 0,
    held: undefined,
    async close() {
      for (const server of [front, store]) server.closeAllConnections();
      await Promise.all([front, store].map((server) => new Promise((done) => server.close(done))));
    },
  };
  return hub;
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function entries({ files, large = [] }: Repository): unknown[] {
  return Object.entries(files).map(([path, bytes]) => ({
    type: "file",
    path,
    size: bytes.length,
    oid: gitSha1(bytes),
    ...(large.includes(path) ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } } : {}),
  }));
}

function answer(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): void {
  response.writeHead(status, { "content-length": String(Buffer.byteLength(body)), ...headers }).end(body);
}

const json = (response: ServerResponse, value: unknown): unknown =>
  answer(response, 200, { "content-type": "application/json; charset=utf-8" }, JSON.stringify(value));

function refuse(response: ServerResponse, status: number, code: string, message: string): unknown {
  const headers = { "x-error-code": code, "x-error-message": message, "content-type": "application/json" };
  return answer(response, status, headers, JSON.stringify({ error: message }));
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  whole: Uint8Array,
  headers: Readonly<Record<string, string>>,
  fault: Fault | undefined,
  slowness: number,
  held?: Promise<unknown>,
): unknown {
  if (fault?.kind === "status") return answer(response, fault.status, fault.headers ?? {}, "");
  let bytes = Buffer.from(whole);
  if (fault?.kind === "wrong") bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  if (fault?.kind === "too long") bytes = Buffer.concat([bytes, Buffer.alloc(1000)]);
  const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
  let start = fault?.kind === "no range" || from === undefined ? undefined : Number(from);
  if (start !== undefined && start >= bytes.length) return answer(response, 416, {}, "");
  if (fault?.kind === "wrong range" && start !== undefined) start = Math.max(0, start - 1);
  const body = bytes.subarray(start ?? 0);
  const range = start === undefined ? {} : { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(start === undefined ? 200 : 206, { "content-length": String(body.length), ...headers, ...range });
  if (request.method === "HEAD") return response.end();
  if (fault?.kind === "cut") return response.write(body.subarray(0, fault.after), () => response.socket?.destroySoon()); // what was sent arrives
  if (fault?.kind === "stall") return response.write(body.subarray(0, fault.after));
  if (held) {
    response.write(body.subarray(0, body.length / 2));
    return held.then(() => response.end(body.subarray(body.length / 2)));
  }
  if (slowness === 0) return response.end(body);
  const step = (offset: number): unknown => {
    if (offset >= body.length) return response.end();
    response.write(body.subarray(offset, offset + 65_536));
    return setTimeout(step, slowness, offset + 65_536);
  };
  return step(0);
}
