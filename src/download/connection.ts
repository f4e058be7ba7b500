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
  const { name, authorization, timeout, ca } = options;
  const home = endpointUrl(options);
  // undici rather than the global fetch: only with it can the address be checked that is really connected to.
  const { Agent, EnvHttpProxyAgent, request } = await import("undici");
  let mayBePrivate = options.allowPrivateRedirects || isPrivateHost(home);

  /** Looks names up and refuses private addresses; checked here, no second look-up can give another answer. */
  const lookup: LookupFunction = (hostname, lookupOptions, callback) => {
    resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      const isPrivate = addresses.some(({ address }) => isPrivateAddress(address));
      // The endpoint is the user's own word; if it is beside us, so may be the store that it redirects to.
      if (isPrivate && hostname === home.hostname) mayBePrivate = true;
      if (isPrivate && !mayBePrivate) return callback(refusal(name, hostname), []);
      if (lookupOptions.all) return callback(null, addresses);
      const [first] = addresses;
      return callback(null, first?.address ?? "", first?.family ?? 0);
    });
  };
  const settings = { headersTimeout: timeout, bodyTimeout: timeout };
  const trusted = ca ? { ca: [...ca] } : {};
  // Behind a proxy it is the proxy that looks names up and connects; its own address may well be private.
  const { proxy } = options;
  const dispatcher =
    proxy !== undefined || hasProxy()
      ? new EnvHttpProxyAgent({
          ...{ ...settings, connect: { timeout }, requestTls: { timeout, ...trusted } },
          ...(proxy === undefined ? {} : { httpProxy: proxy, httpsProxy: proxy }),
        })
      : new Agent({ ...settings, connect: { timeout, lookup, ...trusted } });

  const check = (url: URL): void => {
    if (url.origin === home.origin) return;
    if (url.protocol !== "https:" && url.protocol !== home.protocol)
      throw new DownloadError(
        `${home.origin} redirects to ${url.protocol}//${url.host}, which is not https: not followed`,
      );
    if (!mayBePrivate && isPrivateHost(url)) throw refusal(name, url.hostname);
  };

  return {
    name,
    endpoint: home.href.replace(/\/+$/, ""),
    close: () => dispatcher.destroy(),
    async get(address, headers = {}, signal) {
      let url = new URL(address);
      for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
        check(url);
        const {
          statusCode,
          headers: fields,
          body,
        } = await request(url, {
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
        const header = (name: string): string | undefined => {
          const value = fields[name];
          return typeof value === "string" ? value : value?.[0];
        };
        const discard = (): void => {
          body.on("error", () => {}); // undici reports what is ended early as an error
          body.destroy();
        };
        if (!REDIRECTS.includes(statusCode)) return { url: url.href, status: statusCode, header, body, discard };
        discard();
        const location = header("location");
        if (location === undefined || !URL.canParse(location, url.href))
          throw new DownloadError(
            `${url.origin}: a redirect (status ${statusCode}) without a location that can be read`,
          );
        url = new URL(location, url);
      }
      throw new DownloadError(`${home.origin}: more than ${MOST_REDIRECTS} redirects`);
    },
  };
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
