/** Both ends show that they know the shared token, without sending it (challenge and response, HMAC-SHA256). */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** Where the token stands: arguments can be read by everyone on a machine, an environment by its owner. */
export const TOKEN_VARIABLE = "CLIP_TS_NODES_TOKEN";
const SHORTEST = 16;
export const NONCE = 32;

/** @throws one line that says how to make a token */
export function tokenFrom(environment: Readonly<Record<string, string | undefined>>): string {
  const token = environment[TOKEN_VARIABLE];
  if (token !== undefined && token.length >= SHORTEST) return token;
  throw new Error(
    `several nodes need a secret that only they know: set ${TOKEN_VARIABLE} to the same at least ${SHORTEST} characters on each (openssl rand -hex 32 makes some)${token === undefined ? "" : `; it has ${token.length}`}`,
  );
}

export const nonce = (): Uint8Array => new Uint8Array(randomBytes(NONCE));

/** What one end answers to the other's nonce; `role` keeps an answer from being sent back as one's own. */
export function proof(token: string, role: "client" | "server", ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHmac("sha256", token).update(`clip-ts nodes ${role}`);
  for (const part of parts) hash.update(`:${part.length}:`).update(part);
  return new Uint8Array(hash.digest());
}

export const proves = (given: Uint8Array | undefined, expected: Uint8Array): boolean =>
  given !== undefined && given.length === expected.length && timingSafeEqual(given, expected);
