/**
 * The inner loops in WebAssembly with 128-bit vectors, compiled from `assembly/` by the build. Where they are missing (an
 * older processor or engine, a browser before `loadKernels`), the same is computed in TypeScript. Addresses are bytes of the
 * memory; the files in `assembly/` say the rest.
 */
export interface Kernels {
  readonly memory: Memory;
  across(
    source: number,
    stride: number,
    rows: number,
    columns: number,
    channels: number,
    out: number,
    outStride: number,
    width: number,
    starts: number,
    weights: number,
    pairs: number,
    scratch: number,
  ): void;
  down(
    source: number,
    stride: number,
    length: number,
    out: number,
    height: number,
    starts: number,
    weights: number,
    pairs: number,
  ): void;
  unstuff(source: number, length: number, out: number, segments: number, most: number): number;
  decodeScan(
    components: number,
    count: number,
    across: number,
    down: number,
    interval: number,
    segments: number,
    segmentCount: number,
    zigzag: number,
    scratch: number,
    left: number,
    right: number,
    top: number,
    bottom: number,
  ): number;
  toRgb(
    luma: number,
    lumaStride: number,
    blue: number,
    red: number,
    chromaStride: number,
    chromaWidth: number,
    chromaHeight: number,
    h: number,
    v: number,
    width: number,
    top: number,
    bottom: number,
    out: number,
    scratch: number,
  ): void;
  bilinear(
    source: number,
    stride: number,
    out: number,
    size: number,
    columns: number,
    rows: number,
    scratch: number,
  ): void;
  toFloats(source: number, pixels: number, tables: number, out: number, plane: number): void;
}

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What of it is used: the language's own library does not declare it. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
};

let kernels: Kernels | undefined;
let isTried = false;

/** Compiles the kernels from the bytes of `kernels.wasm`, which a browser has to fetch. False where vectors are missing. */
export function loadKernels(bytes: Uint8Array): boolean {
  isTried = true;
  const module = bytes.slice();
  if (!WebAssembly.validate(module)) return false;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module));
  if (!isKernels(exports)) return false;
  kernels = exports;
  return true;
}

/** The kernels if they are there; in Node they are read at the first call. */
export function simdKernels(): Kernels | undefined {
  if (!isTried) {
    isTried = true;
    const bytes = readBesideThis();
    if (bytes) loadKernels(bytes);
  }
  return kernels;
}

function readBesideThis(): Uint8Array | undefined {
  if (typeof process === "undefined") return;
  const fs = process.getBuiltinModule?.("node:fs");
  // The second when this runs from its sources.
  for (const place of ["./kernels.wasm", "../../dist/src/image/kernels.wasm"]) {
    const url = new URL(place, import.meta.url);
    if (fs?.existsSync(url)) return fs.readFileSync(url);
  }
  return;
}

function isKernels(exports: object): exports is Kernels {
  return ["memory", "across", "down", "unstuff", "decodeScan", "toRgb", "bilinear", "toFloats"].every(
    (name) => name in exports,
  );
}

/** The kernels' memory for one piece of work: what was there before is forgotten. Taking more may detach older views. */
export class Space {
  readonly kernels: Kernels;
  #end = 0;

  constructor(kernels: Kernels) {
    this.kernels = kernels;
  }

  /** The address of so many bytes, whatever their contents; a multiple of 16. */
  take(size: number): number {
    const { memory } = this.kernels;
    const address = this.#end;
    this.#end += Math.ceil(size / 16) * 16;
    const missing = this.#end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return address;
  }
}
