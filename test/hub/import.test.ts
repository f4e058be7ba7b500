/** Loading the package asks nobody: not even the parts that talk to the hub. */
import dns from "node:dns";
import { readdirSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test, vi } from "vitest";

const SOURCE = fileURLToPath(new URL("../../src", import.meta.url));

afterEach(() => vi.restoreAllMocks());

test("no network at import", async () => {
  const asked: string[] = [];
  const refuse = (what: string) => () => {
    asked.push(what);
    throw new Error(`${what} at import`);
  };
  vi.spyOn(net.Socket.prototype, "connect").mockImplementation(refuse("Socket.connect"));
  vi.spyOn(tls, "connect").mockImplementation(refuse("tls.connect"));
  vi.spyOn(dns, "lookup").mockImplementation(
    Object.assign(refuse("dns.lookup"), { __promisify__: refuse("dns.lookup") }),
  );
  vi.spyOn(http, "request").mockImplementation(refuse("http.request"));
  vi.spyOn(https, "request").mockImplementation(refuse("https.request"));
  vi.spyOn(globalThis, "fetch").mockImplementation(refuse("fetch"));
  const rooms = readdirSync(SOURCE, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== "cli",
  );
  for (const { name } of rooms) await import(`../../src/${name}/index.ts`);
  await import("../../src/index.ts");
  // What is loaded when it is needed loads in silence too.
  for (const lazy of ["onnxruntime-node", "sharp", "undici", "@huggingface/hub"]) await import(lazy);
  expect(asked).toEqual([]);
  expect(rooms.length).toBeGreaterThan(8);
  expect(() => net.connect(1)).toThrow("at import"); // the trap works
});
