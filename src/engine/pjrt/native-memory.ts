/** Native memory and functions, by koffi: it needs no compiler, and has prebuilt binaries for every platform that Node has. */
import { type Fields, type Kind, SIZES, type Value, type Values } from "./abi.ts";

type Koffi = typeof import("koffi")["default"];

/** A dynamic linker's flag, of Linux and macOS. */
const RTLD_NOW = 2;

/** F_SETFD, of Linux and macOS. */
const SET_DESCRIPTOR_FLAGS = 2;

/** The file of C's library. */
export const LIBC = process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6";

/** A native function of one pointer that returns a pointer. */
export interface NativeFunction {
  (argument: bigint): bigint | null;
  /** In a thread of libuv's pool. */
  async(argument: bigint, done: (error: unknown, result: bigint | null) => void): void;
}

export interface Native {
  /** Zeroed memory at a fixed address, until the process ends or `free`. */
  allocate(bytes: number): { readonly address: bigint; readonly buffer: ArrayBuffer };
  free(address: bigint): void;
  /** Of the array's first byte. The memory stays where it is as long as the array is reachable. */
  address(array: NodeJS.ArrayBufferView): bigint;
  /** A copy. */
  bytes(address: bigint, length: number): Uint8Array<ArrayBuffer>;
  text(address: bigint, length: number): string;
  /** @throws the linker's message */
  open(path: string): bigint;
  symbol(library: bigint, name: string): bigint | null;
  function(address: bigint): NativeFunction;
  /** Calls a function without arguments that returns a pointer. */
  callPlain(address: bigint): bigint | null;
  /** Lets this process go on as another program, with its id and its standard streams. Returns only where the system refuses. */
  replaceProcess(path: string, args: readonly string[], environment: NodeJS.ProcessEnv): void;
  /** Ends this process without anything that libraries do at its end. */
  endProcess(status: number): void;
}

let loading: Promise<Native> | undefined;

/** @throws if koffi has no binary for this platform */
export function loadNative(): Promise<Native> {
  loading ??= import("koffi").then(
    ({ default: koffi }) => nativeOf(koffi),
    (error: unknown) => {
      const why = error instanceof Error ? error.message.split("\n")[0] : error;
      throw new Error(`pjrt: koffi, which calls native libraries, does not load on this platform: ${why}`);
    },
  );
  return loading;
}

function nativeOf(koffi: Koffi): Native {
  if (process.platform === "win32") throw new Error("pjrt: there are no PJRT plugins for Windows");
  // Not koffi.load() for plugins: it unloads them at exit, under the feet of XLA's threads.
  const libc = koffi.load(LIBC);
  const dlopen: (path: string, flags: number) => bigint | null = libc.func("void *dlopen(const char *path, int flags)");
  const dlsym: (library: bigint, name: string) => bigint | null = libc.func("void *dlsym(void *lib, const char *name)");
  const dlerror: () => string | null = libc.func("const char *dlerror()");
  const execve: (path: string, args: (string | null)[], environment: (string | null)[]) => number = libc.func(
    "int execve(const char *path, const char **argv, const char **envp)",
  );
  const fcntl: (file: number, command: number, type: "int", flags: number) => number = libc.func(
    "int fcntl(int fd, int cmd, ...)",
  );
  const endProcess: (status: number) => void = libc.func("void _exit(int status)");
  const unary = koffi.proto("void *", ["void *"]);
  const plain = koffi.proto("void *", []);
  const view = (address: bigint, length: number): Uint8Array => new Uint8Array(koffi.view(address, length));
  const bytes = (address: bigint, length: number): Uint8Array<ArrayBuffer> =>
    length === 0 ? new Uint8Array(0) : new Uint8Array(view(address, length));
  return {
    allocate: (length) => {
      const address: bigint = koffi.alloc("uint8_t", length);
      const buffer = koffi.view(address, length);
      new Uint8Array(buffer).fill(0);
      return { address, buffer };
    },
    free: (address) => koffi.free(address),
    address: (array) => koffi.address(array),
    bytes,
    text: (address, length) => Buffer.from(bytes(address, length)).toString(),
    open: (path) => {
      const library = dlopen(path, RTLD_NOW);
      if (!library) throw new Error(dlerror() ?? `${path}: cannot be opened`);
      return library;
    },
    symbol: (library, name) => dlsym(library, name),
    function: (address) => koffi.decode(address, unary),
    callPlain: (address) => koffi.decode(address, plain)(),
    replaceProcess: (path, args, environment) => {
      const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
      // Node marks them to be closed.
      for (const stream of [0, 1, 2]) fcntl(stream, SET_DESCRIPTOR_FLAGS, "int", 0);
      execve(path, [...args, null], [...variables, null]);
    },
    endProcess,
  };
}

const HEADER = 16;

interface Layout {
  readonly size: number;
  readonly places: ReadonlyMap<string, { readonly offset: number; readonly kind: Kind }>;
}

const layouts = new WeakMap<Fields, Layout>();

function layoutOf(fields: Fields): Layout {
  const known = layouts.get(fields);
  if (known) return known;
  let size = HEADER;
  const places = new Map<string, { offset: number; kind: Kind }>();
  for (const [name, kind] of Object.entries(fields)) {
    const offset = Math.ceil(size / SIZES[kind]) * SIZES[kind];
    places.set(name, { offset, kind });
    size = offset + SIZES[kind];
  }
  const layout = { size, places };
  layouts.set(fields, layout);
  return layout;
}

/**
 * Zeros behind the last field that we know. XLA's plugins refuse a struct that is shorter than their own; what a later version of the API
 * appends to one is so not given, which is what it means to a caller that does not know it.
 */
const ROOM = 64;

/** A struct of the C API in native memory. */
export class Struct<F extends Fields> {
  readonly address: bigint;
  readonly #fields: F;
  readonly #layout: Layout;
  readonly #view: DataView;
  readonly #room: number;

  /** @param inArray whether it is copied into an array, whose structs are as long as they are */
  constructor(native: Native, fields: F, inArray = false) {
    this.#fields = fields;
    this.#layout = layoutOf(fields);
    this.#room = inArray ? 0 : ROOM;
    const { address, buffer } = native.allocate(this.stride + this.#room);
    this.address = address;
    this.#view = new DataView(buffer);
    this.clear();
  }

  /** Of arrays of it. */
  get stride(): number {
    return Math.ceil(this.#layout.size / 8) * 8;
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer);
  }

  clear(): void {
    this.bytes.fill(0);
    // Without room, up to the end of the last field: what C calls PJRT_STRUCT_SIZE.
    this.#view.setBigUint64(0, BigInt(this.#room > 0 ? this.#view.byteLength : this.#layout.size), true);
  }

  set(values: Partial<Values<F>>): void {
    for (const [name, value] of Object.entries<Value<Kind> | undefined>(values)) {
      const { offset, kind } = this.#place(name);
      if (value === undefined) continue;
      if (kind === "i32") this.#view.setInt32(offset, Number(value), true);
      else if (kind === "f32") this.#view.setFloat32(offset, Number(value), true);
      else if (kind === "bool") this.#view.setUint8(offset, value ? 1 : 0);
      else this.#view.setBigUint64(offset, BigInt.asUintN(64, BigInt(value)), true);
    }
  }

  /** All fields as they are now. */
  get(): Values<F> {
    const entries = Object.keys(this.#fields).map((name) => [name, this.#read(name)]);
    return Object.fromEntries(entries) as Values<F>;
  }

  #read(name: string): Value<Kind> {
    const { offset, kind } = this.#place(name);
    if (kind === "i32") return this.#view.getInt32(offset, true);
    if (kind === "f32") return this.#view.getFloat32(offset, true);
    if (kind === "bool") return this.#view.getUint8(offset) !== 0;
    if (kind === "i64") return Number(this.#view.getBigInt64(offset, true));
    const word = this.#view.getBigUint64(offset, true);
    return kind === "size" ? Number(word) : word;
  }

  #place(name: string): { readonly offset: number; readonly kind: Kind } {
    const place = this.#layout.places.get(name);
    if (!place) throw new Error(`pjrt: no field ${name}`);
    return place;
  }
}
