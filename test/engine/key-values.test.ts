import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CallbackName, type KeyCallbacks, startKeyCallbacks } from "../../src/engine/pjrt/key-values.ts";
import { joinNodes, type NodeGroup } from "../../src/nodes/index.ts";

if (!existsSync(fileURLToPath(new URL("../../dist/src/engine/pjrt/key-values-worker.js", import.meta.url))))
  throw new Error("callbacks are tested as built: run tsc -p tsconfig.build.json first");

// Called as XLA calls them: from a thread that is none of Node's, with the structs of pjrt_c_api.h.
const libc = koffi.load(process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6");
const release: (address: bigint) => void = libc.func("void free(void *address)");
const unary = koffi.proto("void *", ["void *"]);
const makeError = koffi.register(
  (code: number, message: bigint, size: bigint | number) => {
    errors.push(`${code}: ${Buffer.from(koffi.view(message, Number(size))).toString()}`);
    return 77n;
  },
  koffi.pointer(koffi.proto("void *", ["int", "void *", "size_t"])),
);
const errors: string[] = [];

let group: NodeGroup;
let callbacks: KeyCallbacks;
beforeAll(async () => {
  group = await joinNodes({
    node: 0,
    nodes: 1,
    host: "127.0.0.1",
    port: 0,
    token: "a token of the tests",
    agreement: "one",
    silenceMs: 10_000,
    startMs: 5000,
  });
  callbacks = await startKeyCallbacks({ keys: [0, 1, 2].map(() => group.blockingChannel()) });
});
afterAll(async () => {
  await callbacks.close();
  await group.leave();
});

function native(bytes: Uint8Array): bigint {
  const address: bigint = koffi.alloc("uint8_t", Math.max(1, bytes.length));
  new Uint8Array(koffi.view(address, Math.max(1, bytes.length))).set(bytes);
  return address;
}

/** Calls one with its fields by offset; gives the struct as it is then, and what was returned. */
async function call(
  name: CallbackName,
  size: number,
  fields: Readonly<Record<number, bigint>>,
): Promise<{ args: DataView; error: bigint | null }> {
  const address: bigint = koffi.alloc("uint8_t", size);
  const args = new DataView(koffi.view(address, size));
  new Uint8Array(args.buffer).fill(0);
  for (const [offset, value] of Object.entries(fields)) args.setBigUint64(Number(offset), value, true);
  const fn: { async(at: bigint, done: (failure: unknown, result: bigint | null) => void): void } = koffi.decode(
    callbacks.addresses[name],
    unary,
  );
  const error = await new Promise<bigint | null>((resolve, reject) => {
    fn.async(address, (failure, result) => (failure ? reject(failure) : resolve(result)));
  });
  return { args, error };
}

const keyOf = (key: string): Record<16 | 24, bigint> => ({
  16: native(Buffer.from(key)),
  24: BigInt(Buffer.byteLength(key)),
});
const put = (key: string, value: Uint8Array) =>
  call("put", 64, { ...keyOf(key), 32: native(value), 40: BigInt(value.length), 48: native(pointerBytes(makeError)) });
const get = (key: string, timeoutMs: number) =>
  call("get", 80, { ...keyOf(key), 32: BigInt(timeoutMs), 40: native(pointerBytes(makeError)) });
const tryGet = (key: string) => call("tryGet", 72, { ...keyOf(key), 32: native(pointerBytes(makeError)) });

const pointerBytes = (address: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(address).buffer);

function given(args: DataView, at: number): Uint8Array {
  const [address, size] = [args.getBigUint64(at, true), Number(args.getBigUint64(at + 8, true))];
  expect(args.getBigUint64(at + 16, true)).not.toBe(0n); // who frees it
  const bytes = new Uint8Array(new Uint8Array(koffi.view(address, Math.max(1, size)))).subarray(0, size);
  release(address);
  return bytes;
}

describe("the callbacks that XLA's client asks for", () => {
  it("put, get and try to get any bytes", async () => {
    const value = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
    expect((await put("topology", value)).error).toBeNull();
    const got = await get("topology", 1000);
    expect(got.error).toBeNull();
    expect(Buffer.compare(given(got.args, 56), value)).toBe(0);
    const tried = await tryGet("topology");
    expect(tried.error).toBeNull();
    expect(Buffer.compare(given(tried.args, 48), value)).toBe(0);
    expect((await put("empty", new Uint8Array())).error).toBeNull();
    expect(given((await get("empty", 1000)).args, 56).length).toBe(0);
  });

  it("wait for a key that is put later, by another thread's call", async () => {
    const waiting = get("later", 20_000);
    await put("later", Buffer.from("now"));
    expect(Buffer.from(given((await waiting).args, 56)).toString()).toBe("now");
  });

  it("make XLA's errors where there is no key, or it holds something else", async () => {
    errors.length = 0;
    expect((await get("never", 30)).error).toBe(77n);
    expect((await tryGet("never")).error).toBe(77n);
    await put("once", Buffer.from("a"));
    expect((await put("once", Buffer.from("b"))).error).toBe(77n);
    expect(errors).toEqual([
      "4: no process has set xla/never",
      "5: no process has set xla/never",
      "14: nodes: the key xla/once holds something else already",
    ]);
  });

  it("answer while the main thread is blocked, as it is within Client_Create", async () => {
    const fn = koffi.decode(callbacks.addresses.put, unary);
    const size = 64;
    const address: bigint = koffi.alloc("uint8_t", size);
    const args = new DataView(koffi.view(address, size));
    new Uint8Array(args.buffer).fill(0);
    const fields = { ...keyOf("blocked"), 32: native(Buffer.from("x")), 40: 1n };
    for (const [offset, value] of Object.entries(fields)) args.setBigUint64(Number(offset), value, true);
    fn.async(address, () => {});
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    expect(Buffer.from(await group.get("xla/blocked", 0)).toString()).toBe("x");
  });
});
