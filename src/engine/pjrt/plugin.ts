/** A PJRT plugin: a shared library with one table of functions, called by name. */
import { basename } from "node:path";
import { API, ERROR_CODES, type FieldsOf, FUNCTIONS, type FunctionName, NAMED, STRUCTS, type Values } from "./abi.ts";
import { loadNative, type Native, type NativeFunction, Struct } from "./native-memory.ts";

/** What clients are created with, and what plugins and devices say of themselves. */
export type NamedValue = string | number | boolean | readonly number[] | { readonly float: number };

/** An error that the plugin returned. */
export class PjrtError extends Error {
  readonly code: (typeof ERROR_CODES)[number];

  constructor(code: number, message: string) {
    // XLA appends stack traces and notes to what it says.
    const said = message.split(/\n\s*(?:\n|===|@|BEGIN)/)[0] ?? "";
    const line = said.replaceAll(/\s+/g, " ").trim().slice(0, 600);
    super(`pjrt: ${line || "no message"} (${ERROR_CODES[code] ?? code})`);
    this.code = ERROR_CODES[code] ?? "UNKNOWN";
  }
}

/** Calls in other threads at once: koffi refuses more than 256, and libuv runs a few. */
const MOST_UNDER_WAY = 64;

/**
 * How long a CPU's device waits for the others, in seconds: XLA's own patience ends the process after a minute, which one of them may want
 * on a busy machine. XLA reads it from the environment alone, once a process, when the first client is made.
 */
const PATIENCE = {
  xla_cpu_collective_call_warn_stuck_timeout_seconds: 300,
  xla_cpu_collective_call_terminate_timeout_seconds: 3600,
} as const;

/** The API's minor version of a plugin that has these flags: XLA ends a process at one that it does not know. */
const PATIENT_SINCE = 115;

const NOTHING: readonly NodeJS.ArrayBufferView[] = [];

const plugins = new Map<string, Promise<Plugin>>();

/**
 * Opens a plugin, once a process and path.
 * @param preload libraries that it looks for by name when it needs them, opened before it by their full paths
 * @throws one line: what is missing, or what the linker says
 */
export function loadPlugin(path: string, preload: readonly string[] = []): Promise<Plugin> {
  const opened =
    plugins.get(path) ??
    loadNative().then((native) => {
      // XLA's log goes to stderr, and has a line for every client otherwise.
      process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
      for (const library of preload) openIfPossible(native, library);
      const plugin = new Plugin(native, path);
      if (/cpu/i.test(basename(path)) && plugin.version[1] >= PATIENT_SINCE) {
        const flags = Object.entries(PATIENCE).map(([name, value]) => `--${name}=${value}`);
        process.env.XLA_FLAGS = [...flags, process.env.XLA_FLAGS ?? ""].join(" ").trim(); // the last of two counts
      }
      return plugin;
    });
  plugins.set(path, opened);
  opened.catch(() => plugins.delete(path));
  return opened;
}

export class Plugin {
  readonly path: string;
  readonly native: Native;
  /** Of the C API. */
  readonly version: readonly [major: number, minor: number];
  readonly #functions = new Map<FunctionName, NativeFunction>();
  #underWay = 0;
  #waiting: (() => void)[] = [];
  readonly #held = new Set<readonly NodeJS.ArrayBufferView[]>();
  /** Structs that are not in use: allocating one costs more than a call. */
  readonly #free = new Map<FunctionName, Struct<FieldsOf<FunctionName>>[]>();

  constructor(native: Native, path: string) {
    this.path = path;
    this.native = native;
    const library = opened(native, path);
    const entry = native.symbol(library, "GetPjrtApi");
    if (!entry) throw new Error(`pjrt: ${path} is no PJRT plugin: it has no GetPjrtApi`);
    const api = native.callPlain(entry);
    if (!api) throw new Error(`pjrt: ${path}: GetPjrtApi returned nothing`);
    const head = new DataView(native.bytes(api, API.table).buffer);
    const size = Number(head.getBigUint64(API.bytes, true));
    this.version = [head.getInt32(API.major, true), head.getInt32(API.minor, true)];
    if (this.version[0] !== 0)
      throw new Error(`pjrt: ${path} has version ${this.version.join(".")} of the API, expected 0.x`);
    const table = new BigUint64Array(native.bytes(api, size - (size % 8)).buffer, API.table);
    for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
      const address = table[FUNCTIONS[name].slot];
      if (address) this.#functions.set(name, native.function(address));
    }
    this.call("Plugin_Initialize", {});
  }

  has(name: FunctionName): boolean {
    return this.#functions.has(name);
  }

  /**
   * Calls a function and returns the fields of its arguments, results among them.
   * @param kept arrays that the arguments point to: without it they are garbage as soon as their addresses are taken
   */
  call<F extends FunctionName>(
    name: F,
    given: Partial<Values<FieldsOf<F>>>,
    kept: readonly NodeJS.ArrayBufferView[] = NOTHING,
  ): Values<FieldsOf<F>> {
    const struct = this.#take(name);
    this.#held.add(kept);
    try {
      struct.set(given);
      this.check(this.#function(name)(struct.address));
      return struct.get();
    } finally {
      this.#held.delete(kept);
      this.#put(name, struct);
    }
  }

  /**
   * As `call`, in a thread of libuv's pool: the event loop goes on.
   * @param kept what the arguments point to, held until the call ends
   */
  async callAsync<F extends FunctionName>(
    name: F,
    given: Partial<Values<FieldsOf<F>>>,
    kept: NodeJS.ArrayBufferView[] = [],
  ): Promise<Values<FieldsOf<F>>> {
    while (this.#underWay >= MOST_UNDER_WAY) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#underWay++;
    try {
      return await this.#started(name, given, kept);
    } finally {
      this.#underWay--;
      this.#waiting.shift()?.();
    }
  }

  #started<F extends FunctionName>(
    name: F,
    given: Partial<Values<FieldsOf<F>>>,
    kept: NodeJS.ArrayBufferView[],
  ): Promise<Values<FieldsOf<F>>> {
    const struct = this.#take(name);
    struct.set(given);
    return new Promise<Values<FieldsOf<F>>>((resolve, reject) => {
      this.#function(name).async(struct.address, (failure, error) => {
        try {
          if (failure) throw failure;
          this.check(error);
          resolve(struct.get());
        } catch (reason) {
          reject(reason);
        } finally {
          this.#put(name, struct);
          kept.length = 0;
        }
      });
    });
  }

  /** @throws what the error says, if it is one */
  check(error: bigint | null): void {
    if (!error) return;
    const { message, length } = this.#plain("Error_Message", error);
    const said = this.native.text(message, length);
    const { code } = this.#plain("Error_GetCode", error);
    this.#plain("Error_Destroy", error);
    throw new PjrtError(code, said);
  }

  attributes(): Readonly<Record<string, NamedValue>> {
    const { attributes, count } = this.call("Plugin_Attributes", {});
    return readNamed(this.native, attributes, count);
  }

  /** Waits for an event, destroys it, throws its error. Occupies a thread of libuv's pool meanwhile, which reading files needs too. */
  async settled(event: bigint): Promise<void> {
    try {
      if (this.call("Event_IsReady", { event }).ready) this.call("Event_Error", { event });
      else await this.callAsync("Event_Await", { event });
    } finally {
      this.call("Event_Destroy", { event });
    }
  }

  /** The text that a function of one object returns. */
  text(
    name: "Client_PlatformName" | "Client_PlatformVersion" | "DeviceDescription_Kind" | "DeviceDescription_ToString",
    object: bigint,
  ): string {
    const { text, length } = this.call(name, { object });
    return this.native.text(text, length);
  }

  /** Functions of errors, which return none themselves. */
  #plain<F extends "Error_Message" | "Error_GetCode" | "Error_Destroy">(name: F, error: bigint): Values<FieldsOf<F>> {
    const struct = this.#take(name);
    struct.set({ error } as Partial<Values<FieldsOf<F>>>);
    this.#function(name)(struct.address);
    const values = struct.get();
    this.#put(name, struct);
    return values;
  }

  #function(name: FunctionName): NativeFunction {
    const found = this.#functions.get(name);
    if (!found) throw new Error(`pjrt: ${this.path} has no ${name} (API ${this.version.join(".")})`);
    return found;
  }

  #take<F extends FunctionName>(name: F): Struct<FieldsOf<F>> {
    const free = this.#free.get(name) as Struct<FieldsOf<F>>[] | undefined;
    return free?.pop() ?? new Struct<FieldsOf<F>>(this.native, FUNCTIONS[name].fields);
  }

  #put<F extends FunctionName>(name: F, struct: Struct<FieldsOf<F>>): void {
    struct.clear();
    const free = this.#free.get(name);
    if (free) free.push(struct as unknown as Struct<FieldsOf<FunctionName>>);
    else this.#free.set(name, [struct as unknown as Struct<FieldsOf<FunctionName>>]);
  }
}

/** As JAX does: most programs need few of NVIDIA's libraries, and the plugin says which it misses. */
function openIfPossible(native: Native, library: string): void {
  try {
    native.open(library);
  } catch {}
}

function opened(native: Native, path: string): bigint {
  try {
    return native.open(path);
  } catch (error) {
    throw new Error(`pjrt: the plugin does not open: ${error instanceof Error ? error.message : error}`);
  }
}

/** Options in native memory, which is freed by `free`. */
export function writeNamed(native: Native, values: Readonly<Record<string, NamedValue>>) {
  const structs = Object.entries(values).map(([name, value]) => {
    const struct = new Struct(native, STRUCTS.NamedValue, true);
    const kept: Uint8Array[] = [Buffer.from(name)];
    const pointed = (bytes: Uint8Array): bigint => {
      kept.push(bytes);
      return native.address(bytes);
    };
    const [label] = kept;
    struct.set({ name: label ? native.address(label) : 0n, nameSize: label?.length ?? 0, valueSize: 1 });
    if (typeof value === "string")
      struct.set({ type: NAMED.string, value: pointed(Buffer.from(value)), valueSize: Buffer.byteLength(value) });
    else if (typeof value === "boolean") struct.set({ type: NAMED.bool, value: value ? 1n : 0n });
    else if (typeof value === "number") struct.set({ type: NAMED.int64, value: BigInt(value) });
    else if ("float" in value) struct.set({ type: NAMED.float, value: floatBits(value.float) });
    else {
      const list = BigInt64Array.from(value, BigInt);
      struct.set({ type: NAMED.int64List, value: pointed(new Uint8Array(list.buffer)), valueSize: value.length });
    }
    return { struct, kept };
  });
  const stride = structs[0]?.struct.stride ?? 8;
  const array = native.allocate(Math.max(1, structs.length) * stride);
  for (const [i, { struct }] of structs.entries()) new Uint8Array(array.buffer).set(struct.bytes, i * stride);
  return {
    address: array.address,
    count: structs.length,
    free: (): void => {
      for (const { struct, kept } of structs) {
        native.free(struct.address);
        kept.length = 0;
      }
      native.free(array.address);
    },
  };
}

const floatBits = (value: number): bigint => BigInt(new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0);

function readNamed(native: Native, address: bigint, count: number): Record<string, NamedValue> {
  const struct = new Struct(native, STRUCTS.NamedValue, true);
  const entries = Array.from({ length: count }, (_, i): [string, NamedValue] => {
    struct.bytes.set(native.bytes(address + BigInt(i * struct.stride), struct.stride));
    const { name, nameSize, type, value, valueSize } = struct.get();
    return [native.text(name, nameSize), readValue(native, type, value, valueSize)];
  });
  native.free(struct.address);
  return Object.fromEntries(entries);
}

function readValue(native: Native, type: number, value: bigint, size: number): NamedValue {
  if (type === NAMED.string) return native.text(value, size);
  if (type === NAMED.bool) return (value & 0xffn) !== 0n;
  if (type === NAMED.int64) return Number(BigInt.asIntN(64, value));
  if (type === NAMED.int64List) return Array.from(new BigInt64Array(native.bytes(value, 8 * size).buffer), Number);
  return new Float32Array(new Uint32Array([Number(value & 0xffffffffn)]).buffer)[0] ?? 0;
}
