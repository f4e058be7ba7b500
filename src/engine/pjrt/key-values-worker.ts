/** One of the callbacks of `key-values.ts`: PJRT_KeyValueGetCallback, ...PutCallback or ...TryGetCallback (`pjrt_c_api.h`). */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { ERROR_CODES } from "./abi.ts";
import type { CallbackName, KeyWorkerData } from "./key-values.ts";
import { LIBC, loadNative } from "./native-memory.ts";

const { default: koffi } = await import("koffi");

const { name, port, flag }: KeyWorkerData = workerData;

/** Offsets of the arguments, behind size and extension. */
const ARGUMENTS = {
  get: { key: 16, size: 24, timeoutMs: 32, error: 40, value: 56, valueSize: 64, deleter: 72, bytes: 80 },
  tryGet: { key: 16, size: 24, timeoutMs: -1, error: 32, value: 48, valueSize: 56, deleter: 64, bytes: 72 },
  put: { key: 16, size: 24, timeoutMs: -1, error: 48, value: 32, valueSize: 40, deleter: -1, bytes: 64 },
} as const satisfies Record<CallbackName, Readonly<Record<string, number>>>;
const at = ARGUMENTS[name];

// What is given away is freed by XLA, through the function that we name: libc's own pair.
const native = await loadNative();
const malloc: (bytes: number) => bigint | null = koffi.load(LIBC).func("void *malloc(size_t bytes)");
const free = native.symbol(native.open(LIBC), "free"); // of the library itself: the program may have a symbol of that name
const makeError = koffi.proto("void *", ["int", "const char *", "size_t"]);

const callback = koffi.register((address: bigint) => answer(address), koffi.pointer(koffi.proto("void *", ["void *"])));
// Keeps this thread, and the callback with it, until it is terminated.
parentPort?.on("message", () => {});
parentPort?.postMessage(callback);

/** @returns a PJRT_Error, 0 for none */
function answer(address: bigint): bigint {
  const args = new DataView(koffi.view(address, at.bytes));
  const pointer = (offset: number): bigint => args.getBigUint64(offset, true);
  const size = (offset: number): number => Number(pointer(offset));
  const fail = (code: (typeof ERROR_CODES)[number], why: string): bigint => {
    const made: bigint | null = koffi.decode(koffi.decode(pointer(at.error), "uint64_t"), makeError)(
      ERROR_CODES.indexOf(code),
      why,
      Buffer.byteLength(why),
    );
    return made ?? 0n;
  };
  try {
    const key = `xla/${native.text(pointer(at.key), size(at.size))}`;
    const reply =
      name === "put"
        ? asked({ id: 0, kind: "put", key, value: native.bytes(pointer(at.value), size(at.valueSize)) })
        : asked({ id: 0, kind: "get", key, timeoutMs: name === "get" ? args.getInt32(at.timeoutMs, true) : 0 });
    if (reply.kind === "failure") return fail("UNAVAILABLE", reply.message ?? "");
    if (name === "put") return 0n;
    if (reply.value === undefined)
      return fail(name === "get" ? "DEADLINE_EXCEEDED" : "NOT_FOUND", `no process has set ${key}`);
    const given = malloc(Math.max(1, reply.value.length));
    if (!given || !free) return fail("RESOURCE_EXHAUSTED", "no memory");
    new Uint8Array(koffi.view(given, Math.max(1, reply.value.length))).set(reply.value);
    args.setBigUint64(at.value, given, true);
    args.setBigUint64(at.valueSize, BigInt(reply.value.length), true);
    args.setBigUint64(at.deleter, free, true);
    return 0n;
  } catch (error) {
    return fail("INTERNAL", error instanceof Error ? error.message : String(error));
  }
}

interface Reply {
  readonly kind: "answer" | "failure";
  readonly value?: Uint8Array;
  readonly message?: string;
}

/** Blocks this thread until the answer is there. */
function asked(request: object): Reply {
  const seen = Atomics.load(flag, 0);
  port.postMessage(request);
  Atomics.wait(flag, 0, seen);
  const received: { readonly message: Reply } | undefined = receiveMessageOnPort(port);
  if (!received) throw new Error("no answer came");
  return received.message;
}
