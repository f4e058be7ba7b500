/**
 * What nodes say to each other over TCP: frames of a length (u32, little-endian, of what follows), a kind (u8), a number (u32) that
 * ties an answer to its question, and byte strings (a u32 length each). Nothing is allocated before its length is found within bounds.
 */

/** By kind: its byte on the wire and how many byte strings it has. */
export const KINDS = {
  /** Server: a nonce. */
  challenge: [1, 1],
  /** Client: a nonce, a proof that it knows the token, what it is. */
  hello: [2, 3],
  /** Server: a proof that it knows the token. */
  welcome: [3, 1],
  /** Server: why not; it hangs up then. */
  refused: [4, 1],
  /** Client: a key, a value. */
  put: [5, 2],
  /** Client: a key, milliseconds to wait for it (a decimal number). */
  get: [6, 2],
  /** Client: the name of a place that all nodes reach before any goes on. */
  barrier: [7, 1],
  /** Client: that it lives; answered with ok. */
  beat: [8, 0],
  /** Client: that it ends as it should. */
  leave: [9, 0],
  /** Client: that it ends with an error; server: that all must. Why. */
  failed: [10, 1],
  ok: [11, 0],
  /** Server: what a key holds. */
  value: [12, 1],
  /** Server: that there is no such key (in time). */
  missing: [13, 0],
  /** Server: why a request is not granted. */
  denied: [14, 1],
} as const satisfies Record<string, readonly [byte: number, fields: number]>;

export type FrameKind = keyof typeof KINDS;

export interface Frame {
  readonly kind: FrameKind;
  readonly id: number;
  readonly fields: readonly Uint8Array[];
}

/** Bytes of a key and of a value at most. */
export const MOST_KEY = 1024;
export const MOST_VALUE = 16 * 2 ** 20;
/** What follows the length of a frame: of any, and of one that comes before the token is proved. */
export const MOST_FRAME = MOST_VALUE + MOST_KEY + 64;
export const MOST_STRANGER = 512;

const HEAD = 9;

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

/** @throws if it is larger than any frame may be */
export function encodeFrame({ kind, id, fields }: Frame): Uint8Array {
  const [byte, count] = KINDS[kind];
  const size = fields.reduce((sum, field) => sum + 4 + field.length, HEAD);
  if (fields.length !== count || size - 4 > MOST_FRAME)
    throw new Error(`nodes: a frame ${kind} of ${fields.length} fields and ${size} bytes`);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size - 4, true);
  view.setUint8(4, byte);
  view.setUint32(5, id, true);
  let at = HEAD;
  for (const field of fields) {
    view.setUint32(at, field.length, true);
    bytes.set(field, at + 4);
    at += 4 + field.length;
  }
  return bytes;
}

export interface FrameReader {
  /**
   * Takes what came and gives the frames that are whole now.
   * @throws one line at the first byte that no frame has; nothing more is to be read then
   */
  read(chunk: Uint8Array): Frame[];
  /** Allows larger frames than before. */
  allow(most: number): void;
}

export function frameReader(most: number): FrameReader {
  let waiting: Uint8Array[] = [];
  let held = 0;
  /** The next bytes, taken out. */
  const take = (count: number): Uint8Array => {
    const taken = new Uint8Array(count);
    let at = 0;
    while (at < count) {
      const [first, ...rest] = waiting;
      if (!first) throw new Error("nodes: fewer bytes than were counted");
      const part = first.subarray(0, count - at);
      taken.set(part, at);
      at += part.length;
      if (part.length === first.length) waiting = rest;
      else waiting[0] = first.subarray(part.length);
    }
    held -= count;
    return taken;
  };
  let size: number | undefined;
  return {
    read(chunk) {
      if (chunk.length > 0) waiting.push(chunk);
      held += chunk.length;
      const frames: Frame[] = [];
      for (;;) {
        if (size === undefined) {
          if (held < 4) return frames;
          size = new DataView(take(4).buffer).getUint32(0, true);
          if (size < HEAD - 4 || size > most)
            throw new Error(`nodes: a frame of ${size} bytes, expected ${HEAD - 4} to ${most}`);
        }
        if (held < size) return frames;
        frames.push(decodeFrame(take(size)));
        size = undefined;
      }
    },
    allow(more) {
      most = more;
    },
  };
}

/** What follows the length. @throws one line if the fields do not fill it exactly, or the kind has others */
function decodeFrame(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const byte = view.getUint8(0);
  const found = Object.entries(KINDS).find(([, [known]]) => known === byte);
  if (!found) throw new Error(`nodes: no frame is of kind ${byte}`);
  const [kind, [, count]] = found as [FrameKind, readonly [number, number]];
  const fields: Uint8Array[] = [];
  let at = HEAD - 4;
  while (fields.length < count) {
    if (at + 4 > bytes.length) throw new Error(`nodes: a frame ${kind} ends within its fields`);
    const length = view.getUint32(at, true);
    if (length > bytes.length - at - 4)
      throw new Error(`nodes: a frame ${kind} ends within a field of ${length} bytes`);
    fields.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (at !== bytes.length) throw new Error(`nodes: ${bytes.length - at} bytes behind a frame ${kind}`);
  return { kind, id: view.getUint32(1, true), fields };
}
