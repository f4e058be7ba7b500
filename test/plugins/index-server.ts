/** A Python package index, and a second server for its files; both misbehave on demand. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeIndex {
  /** Of the Simple API. */
  readonly url: string;
  /** `host path range authorization` of each request. */
  readonly asked: string[];
  readonly files: Map<string, Uint8Array>;
  /** Pages of links, as mirrors have them. */
  html: boolean;
  /** What the page says of a file's hash; the truth by default. */
  hash: string | undefined;
  /** `user:password` that the index asks for. */
  secret: string | undefined;
  /** Bytes after which the next answers with a file are cut, in turn. */
  readonly cuts: number[];
  /** Status of the next answers of the index, in turn. */
  readonly statuses: number[];
  /** Where a file is said to be. */
  link: (file: string) => string;
  close(): Promise<void>;
}

export async function startIndex(hashOf: (bytes: Uint8Array) => string): Promise<FakeIndex> {
  const asked: string[] = [];
  const files = new Map<string, Uint8Array>();
  const store = createServer((request, response) => {
    const { range = "", authorization = "" } = request.headers;
    asked.push(`store ${request.url} ${range} ${authorization}`.trim());
    const bytes = files.get((request.url ?? "").split("/").at(-1) ?? "");
    if (!bytes) return response.writeHead(404).end();
    const [, from = "0"] = /^bytes=(\d+)-/.exec(range) ?? [];
    const body = bytes.subarray(Number(from));
    const part = range === "" ? {} : { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(range === "" ? 200 : 206, { "content-length": String(body.length), ...part });
    const cut = index.cuts.shift();
    if (cut === undefined) return response.end(body);
    return response.write(body.subarray(0, cut), () => response.socket?.destroySoon());
  });
  const front = createServer((request, response) => {
    const { authorization = "", accept = "" } = request.headers;
    asked.push(`index ${request.url} ${authorization}`.trim());
    const status = index.statuses.shift();
    if (status !== undefined) return response.writeHead(status).end("busy");
    if (index.secret !== undefined && authorization !== `Basic ${Buffer.from(index.secret).toString("base64")}`)
      return response.writeHead(401).end();
    const [, name = ""] = /^\/simple\/([^/]+)\/$/.exec(request.url ?? "") ?? [];
    const own = [...files].filter(([file]) => file.startsWith(`${name.replaceAll("-", "_")}-`));
    if (own.length === 0) return response.writeHead(404).end();
    return answer(response, own, accept);
  });
  const answer = (
    response: ServerResponse,
    own: readonly (readonly [string, Uint8Array])[],
    accept: string,
  ): unknown => {
    const list = own.map(([file, bytes]) => ({
      ...{ filename: file, url: index.link(file), hashes: { sha256: index.hash ?? hashOf(bytes) } },
    }));
    if (index.html || !accept.includes("json")) {
      const links = list.map(({ filename, url, hashes }) => `<a href="${url}#sha256=${hashes.sha256}">${filename}</a>`);
      return response.writeHead(200, { "content-type": "text/html" }).end(`<html><body>${links.join("<br/>")}</body>`);
    }
    const type = "application/vnd.pypi.simple.v1+json";
    return response.writeHead(200, { "content-type": type }).end(JSON.stringify({ meta: {}, name: "x", files: list }));
  };
  await Promise.all([front, store].map((server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done))));
  const index: FakeIndex = {
    ...{ url: `${addressOf(front)}/simple`, asked, files, html: false, hash: undefined, secret: undefined },
    ...{ cuts: [], statuses: [], link: (file) => `${addressOf(store)}/packages/${file}` },
    async close() {
      for (const server of [front, store]) server.closeAllConnections();
      await Promise.all([front, store].map((server) => new Promise((done) => server.close(done))));
    },
  };
  return index;
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
