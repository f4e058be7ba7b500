/** GET requests to the hub and where it redirects to: guarded, bounded, with timeouts. */
import { lookup as resolve } from "node:dns";
import type { LookupFunction } from "node:net";
import type { Readable } from "node:stream";
import { isPrivateAddress, literalAddress } from "./addresses.ts";
import { HubError } from "./failure.ts";

export interface Answer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Readable;
  /** Ends an answer whose body is not read. */
  discard(): void;
}

export interface Connection {
  /** Without a slash at the end. */
  readonly endpoint: string;
  /**
   * Follows redirects. The token goes to the endpoint's own origin and nowhere else.
   * @throws a HubError where a redirect leads to a private address, and what the network throws
   */
  get(url: string, headers?: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly endpoint: string;
  readonly token?: string | undefined;
  /** Milliseconds without a connection, an answer or a further byte. */
  readonly timeout: number;
  readonly allowPrivateRedirects: boolean;
}

const MOST_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { token, timeout } = options;
  const home = endpointUrl(options.endpoint);
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
      if (isPrivate && !mayBePrivate) return callback(refusal(hostname), []);
      if (lookupOptions.all) return callback(null, addresses);
      const [first] = addresses;
      return callback(null, first?.address ?? "", first?.family ?? 0);
    });
  };
  const settings = { headersTimeout: timeout, bodyTimeout: timeout };
  // Behind a proxy it is the proxy that looks names up and connects; its own address may well be private.
  const dispatcher = hasProxy()
    ? new EnvHttpProxyAgent({ ...settings, connect: { timeout } })
    : new Agent({ ...settings, connect: { timeout, lookup } });

  const check = (url: URL): void => {
    if (url.origin === home.origin) return;
    if (url.protocol !== "https:" && url.protocol !== home.protocol)
      throw new HubError(`${home.origin} redirects to ${url.protocol}//${url.host}, which is not https: not followed`);
    if (!mayBePrivate && isPrivateHost(url)) throw refusal(url.hostname);
  };

  return {
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
            ...(token !== undefined && url.origin === home.origin ? { authorization: `Bearer ${token}` } : {}),
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
        if (!REDIRECTS.includes(statusCode)) return { status: statusCode, header, body, discard };
        discard();
        const location = header("location");
        if (location === undefined || !URL.canParse(location, url.href))
          throw new HubError(`${url.origin}: a redirect (status ${statusCode}) without a location that can be read`);
        url = new URL(location, url);
      }
      throw new HubError(`${home.origin}: more than ${MOST_REDIRECTS} redirects`);
    },
  };
}

function endpointUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new HubError(`the hub's address ${JSON.stringify(text)} (HF_ENDPOINT) is no http or https URL`);
}

function isPrivateHost(url: URL): boolean {
  const address = literalAddress(url);
  return address === undefined ? /(^|\.)localhost\.?$/.test(url.hostname) : isPrivateAddress(address);
}

const refusal = (host: string): HubError =>
  new HubError(`the hub redirects to ${host}, a private address: not followed (option allowPrivateRedirects)`);

/** The variables that undici's EnvHttpProxyAgent reads. */
const hasProxy = (): boolean =>
  ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"].some((name) => (process.env[name] ?? "") !== "");
