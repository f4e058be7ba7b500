import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrame, type Frame, type FrameKind, frameReader, KINDS, MOST_FRAME } from "../../src/nodes/frames.ts";

const frames: fc.Arbitrary<Frame> = fc.constantFrom(...(Object.keys(KINDS) as FrameKind[])).chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    id: fc.nat(2 ** 32 - 1),
    fields: fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: KINDS[kind][1], maxLength: KINDS[kind][1] }),
  }),
);

function inPieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
}

const plain = ({ kind, id, fields }: Frame) => ({ kind, id, fields: fields.map((field) => [...field]) });

describe("frames", () => {
  it("are read as they were written, however the bytes arrive", () => {
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 12 }), (sent, cuts) => {
        const reader = frameReader(MOST_FRAME);
        const bytes = new Uint8Array(Buffer.concat(sent.map(encodeFrame)));
        const read = inPieces(bytes, cuts).flatMap((piece) => reader.read(piece));
        expect(read.map(plain)).toEqual(sent.map(plain));
      }),
    );
  });

  it("that are none end in one line, never in anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const reader = frameReader(64);
        try {
          for (const frame of reader.read(bytes)) expect(frame.fields.length).toBe(KINDS[frame.kind][1]);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect((error as Error).message).toMatch(/^nodes: [^\n]+$/);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("that are damaged anywhere are read as another frame or refused", () => {
    fc.assert(
      fc.property(frames, fc.nat(), fc.integer({ min: 1, max: 255 }), (frame, place, change) => {
        const bytes = encodeFrame(frame);
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ change;
        try {
          const [read] = frameReader(MOST_FRAME).read(bytes);
          if (read) expect(plain(read)).not.toEqual(plain(frame));
        } catch (error) {
          expect((error as Error).message).toMatch(/^nodes: /);
        }
      }),
    );
  });

  it("are refused by their length before a byte of them is kept", () => {
    const head = (length: number): Uint8Array => new Uint8Array(new Uint32Array([length]).buffer);
    expect(() => frameReader(512).read(head(513))).toThrow("nodes: a frame of 513 bytes, expected 5 to 512");
    expect(() => frameReader(512).read(head(2 ** 32 - 1))).toThrow("nodes: a frame of 4294967295 bytes");
    expect(() => frameReader(512).read(head(4))).toThrow("nodes: a frame of 4 bytes");
    expect(frameReader(512).read(head(512))).toEqual([]);
  });

  it("that say their fields are longer than they are, are refused", () => {
    const bytes = encodeFrame({ kind: "barrier", id: 1, fields: [new Uint8Array(8)] });
    new DataView(bytes.buffer).setUint32(9, 2 ** 31, true);
    expect(() => frameReader(MOST_FRAME).read(bytes)).toThrow("ends within a field of 2147483648 bytes");
    new DataView(bytes.buffer).setUint32(9, 7, true);
    expect(() => frameReader(MOST_FRAME).read(bytes)).toThrow("1 bytes behind a frame barrier");
  });

  it("are not written larger than they may be read", () => {
    expect(() => encodeFrame({ kind: "put", id: 1, fields: [new Uint8Array(1), new Uint8Array(MOST_FRAME)] })).toThrow(
      /^nodes: a frame put/,
    );
    expect(() => encodeFrame({ kind: "put", id: 1, fields: [] })).toThrow(/^nodes: a frame put of 0 fields/);
  });
});
