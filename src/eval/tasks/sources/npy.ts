/** Labels that are numpy arrays of one axis: what WebDataset shards have where a picture has several classes. */

const MAGIC = "\x93NUMPY";
const HEADER =
  /^\{'descr': '([<|])(u1|i1|i2|i4|i8|f4|f8|b1)', 'fortran_order': (?:True|False), 'shape': \((\d+),\), \}\s*$/;
const BYTES = { u1: 1, i1: 1, b1: 1, i2: 2, i4: 4, i8: 8, f4: 4, f8: 8 } as const;

/** @param most numbers in it @throws one line without a name */
export function readNpy(bytes: Uint8Array, most: number): number[] {
  const text = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString("latin1");
  if (text(0, 6) !== MAGIC || bytes.length < 12) throw new Error("is no numpy array");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = bytes[6] === 1 ? 10 : 12;
  const end = start + (bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const [, , type, shape] = HEADER.exec(text(start, end)) ?? [];
  if (type === undefined || shape === undefined)
    throw new Error(`expected numbers along one axis, got ${JSON.stringify(text(start, Math.min(end, start + 100)))}`);
  const [kind, count] = [isKind(type) ? type : "u1", Number(shape)];
  if (count > most || end + count * BYTES[kind] !== bytes.length)
    throw new Error(
      `expected ${bytes.length - end} bytes and at most ${most} numbers, got ${count} of ${BYTES[kind]} bytes`,
    );
  return Array.from({ length: count }, (_, i) => {
    const at = end + i * BYTES[kind];
    switch (kind) {
      case "u1":
      case "b1":
        return view.getUint8(at);
      case "i1":
        return view.getInt8(at);
      case "i2":
        return view.getInt16(at, true);
      case "i4":
        return view.getInt32(at, true);
      case "i8":
        return Number(view.getBigInt64(at, true));
      case "f4":
        return view.getFloat32(at, true);
      case "f8":
        return view.getFloat64(at, true);
    }
    return 0;
  });
}

const isKind = (type: string): type is keyof typeof BYTES => Object.hasOwn(BYTES, type);
