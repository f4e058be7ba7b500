/** Element types of checkpoints, and how they become the graph's. */
import { type DType, type HostArray, hostArray, viewBytes } from "../graph/index.ts";

/** Bytes an element of every dtype of the safetensors format with whole bytes. */
export const STORED_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  F8_E8M0: 1,
  C64: 8,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type StoredDType = keyof typeof STORED_BYTES;

export const isStoredDType = (name: unknown): name is StoredDType =>
  typeof name === "string" && Object.hasOwn(STORED_BYTES, name);

/** The graph's dtype that holds a stored one, where there is one: F16 and BF16 become f32 without loss. */
export const NATURAL: Readonly<Partial<Record<StoredDType, DType>>> = {
  F64: "f64",
  F32: "f32",
  F16: "f32",
  BF16: "f32",
  I64: "i32",
  I32: "i32",
  U8: "u8",
  BOOL: "bool",
};

/** The stored dtype that a host tensor is written as. */
export const WRITTEN = { f64: "F64", f32: "F32", i32: "I32", u8: "U8", bool: "BOOL" } as const satisfies Record<
  DType,
  StoredDType
>;

/**
 * Little-endian bytes as an array of a dtype. Numbers may become floats; integers must fit, and no float becomes one.
 * @throws if the conversion is not defined or a value does not fit; the message has no name yet
 */
export function decodeElements(bytes: Uint8Array, from: StoredDType, to: DType): HostArray {
  const natural = NATURAL[from];
  if (natural === undefined) throw new Error(`dtype ${from} is not supported`);
  const values = decodeNaturally(bytes, from, natural);
  if (to === natural) return values;
  const toFloat = (to === "f32" || to === "f64") && natural !== "bool";
  const toInteger = to === "i32" && natural === "u8";
  if (!toFloat && !toInteger) throw new Error(`dtype ${from} does not become ${to}`);
  const converted = hostArray(to, values.length);
  converted.set(values);
  return converted;
}

function decodeNaturally(bytes: Uint8Array, from: StoredDType, natural: DType): HostArray {
  if (from === "F16") {
    const [source, values] = [new Uint16Array(viewBuffer(bytes)), halves()];
    const result = new Float32Array(source.length);
    for (let i = 0; i < result.length; i++) result[i] = values[source[i] ?? 0] ?? 0;
    return result;
  }
  if (from === "BF16") {
    // A bfloat16 is the upper half of a float32.
    const result = new Uint32Array(bytes.length / 2);
    const source = new Uint16Array(viewBuffer(bytes));
    for (let i = 0; i < result.length; i++) result[i] = (source[i] ?? 0) << 16;
    return new Float32Array(result.buffer);
  }
  if (from === "I64") {
    const wide = new BigInt64Array(viewBuffer(bytes));
    return Int32Array.from(wide, (value, i) => {
      if (BigInt.asIntN(32, value) !== value) throw new Error(`element ${i} is ${value}, which does not fit 32 bits`);
      return Number(value);
    });
  }
  if (from === "BOOL") return bytes.map((byte) => (byte ? 1 : 0));
  return viewBytes(natural, new Uint8Array(viewBuffer(bytes)));
}

/** The bytes as a buffer of their own that starts at a multiple of 8. */
function viewBuffer(bytes: Uint8Array): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return (whole ? bytes : new Uint8Array(bytes)).buffer as ArrayBuffer;
}

let table: Float32Array | undefined;

/** The value of each of the 65,536 half-precision numbers. */
function halves(): Float32Array {
  if (table) return table;
  table = Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
  return table;
}
