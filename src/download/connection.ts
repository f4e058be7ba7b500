/** GET requests to a server and where it redirects to: guarded, bounded, with timeouts. */
import { lookup as resolve } from "node:dns";
import type { LookupFunction } from "node:net";
import type { Readable } from "node:stream";
import { isPrivateAddress, literalAddress } from "./addresses.ts";
import { DownloadError } from "./failure.ts";

export interface Answer {
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Readable;
  /** Ends an answer whose body is not read. */
  discard(): void;
}

export interface Connection {
  /** What messages call the server. */
  readonly name: string;
  /** Without a slash at the end. */
  readonly endpoint: string;
  /**
   * Follows redirects. The authorization goes to the endpoint's own origin and nowhere else.
   * @param url at the endpoint, or where it says that a file is: a public server's word leads to no private address
   * @throws a DownloadError where a redirect leads to a private address, and what the network throws
   */
  get(url: string, headers?: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  /** What messages call the server: `the hub`. */
  readonly name: string;
  readonly endpoint: string;
  /** The variable or option that names the endpoint, for messages. */
  readonly setting: string;
  /** The value of the header. */
  readonly authorization?: string | undefined;
  /** Certificates to trust instead of Node's, in PEM. */
  readonly ca?: readonly string[] | undefined;
  /** Instead of the one that the environment names. */
  readonly proxy?: string | undefined;
  /** Milliseconds without a connection, an answer or a further byte. */
  readonly timeout: number;
  readonly allowPrivateRedirects: boolean;
}

const MOST_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { name, authorization } = options;
  const home = endpointUrl(options);
  const guard = createGuard(home, options);
  // undici rather than the global fetch: only with it can the address be checked that is really connected to.
  const undici = await import("undici");
  const dispatcher = dispatcherOf(undici, options, guard.lookup);

  const ask = async (
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<Answer> => {
    const answer = await undici.request(url, {
      dispatcher,
      headers: {
        "user-agent": "clip-ts",
        // Bytes are counted and hashed as they are stored.
        "accept-encoding": "identity",
        ...headers,
        ...(authorization !== undefined && url.origin === home.origin ? { authorization } : {}),
      },
      ...(signal ? { signal } : {}),
    });
    const { statusCode: status, headers: fields, body } = answer;
    return {
      url: url.href,
      status,
      body,
      header: (name) => {
        const value = fields[name];
        return typeof value === "string" ? value : value?.[0];
      },
      discard: () => {
        body.on("error", () => {}); // undici reports what is ended early as an error
        body.destroy();
      },
    };
  };

  return {
    name,
    endpoint: home.href.replace(/\/+$/, ""),
    close: () => dispatcher.destroy(),
    async get(address, headers = {}, signal) {
      let url = new URL(address);
      for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
        guard.check(url);
        const answer = await ask(url, headers, signal);
        if (!REDIRECTS.includes(answer.status)) return answer;
        answer.discard();
        url = redirection(url, answer);
      }
      throw new DownloadError(`${home.origin}: more than ${MOST_REDIRECTS} redirects`);
    },
  };
}

function redirection(from: URL, { status, header }: Answer): URL {
  const location = header("location");
  if (location !== undefined && URL.canParse(location, from.href)) return new URL(location, from);
  throw new DownloadError(`${from.origin}: a redirect (status ${status}) without a location that can be read`);
}

/** What keeps a public server's word from leading to a private address. */
interface Guard {
  /** Looks names up and refuses private addresses; checked here, no second look-up can give another answer. */
  readonly lookup: LookupFunction;
  /** @throws a DownloadError about an address that says itself that it is private, or is not https */
  check(url: URL): void;
}

function createGuard(home: URL, { name, allowPrivateRedirects }: ConnectionOptions): Guard {
  // The endpoint is the user's own word; if it is beside us, so may be the store that it redirects to.
  let mayBePrivate = allowPrivateRedirects || isPrivateHost(home);
  return {
    lookup: (hostname, lookupOptions, callback) => {
      resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
        if (error) return callback(error, []);
        const isPrivate = addresses.some(({ address }) => isPrivateAddress(address));
        if (isPrivate && hostname === home.hostname) mayBePrivate = true;
        if (isPrivate && !mayBePrivate) return callback(refusal(name, hostname), []);
        if (lookupOptions.all) return callback(null, addresses);
        const [first] = addresses;
        return callback(null, first?.address ?? "", first?.family ?? 0);
      });
    },
    check(url) {
      if (url.origin === home.origin) return;
      if (url.protocol !== "https:" && url.protocol !== home.protocol)
        throw new DownloadError(
          `${home.origin} redirects to ${url.protocol}//${url.host}, which is not https: not followed`,
        );
      if (!mayBePrivate && isPrivateHost(url)) throw refusal(name, url.hostname);
    },
  };
}

function dispatcherOf(
  { Agent, EnvHttpProxyAgent }: typeof import("undici"),
  { timeout, ca, proxy }: ConnectionOptions,
  lookup: LookupFunction,
) {
  const settings = { headersTimeout: timeout, bodyTimeout: timeout };
  const trusted = ca ? { ca: [...ca] } : {};
  if (proxy === undefined && !hasProxy()) return new Agent({ ...settings, connect: { timeout, lookup, ...trusted } });
  // Behind a proxy it is the proxy that looks names up and connects; its own address may well be private.
  return new EnvHttpProxyAgent({
    ...{ ...settings, connect: { timeout }, requestTls: { timeout, ...trusted } },
    ...(proxy === undefined ? {} : { httpProxy: proxy, httpsProxy: proxy }),
  });
}

function endpointUrl({ name, endpoint, setting }: ConnectionOptions): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new DownloadError(`${name}'s address ${JSON.stringify(endpoint)} (${setting}) is no http or https URL`);
}

function isPrivateHost(url: URL): boolean {
  const address = literalAddress(url);
  return address === undefined ? /(^|\.)localhost\.?$/.test(url.hostname) : isPrivateAddress(address);
}

const refusal = (name: string, host: string): DownloadError =>
  new DownloadError(`${name} redirects to ${host}, a private address: not followed (option allowPrivateRedirects)`);

/** The variables that undici's EnvHttpProxyAgent reads. */
const hasProxy = (): boolean =>
  ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"].some((name) => (process.env[name] ?? "") !== "");

/** The largest answer that is read into memory, in bytes. */
const LARGEST_ANSWER = 16 * 2 ** 20;

/** An answer's body as text. @throws a DownloadError if it is longer than 16 MiB */
export async function readText({ body }: Answer, name: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    if (!(piece instanceof Uint8Array)) continue;
    length += piece.length;
    if (length > LARGEST_ANSWER) throw new DownloadError(`${name}'s answer is longer than ${LARGEST_ANSWER} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}
