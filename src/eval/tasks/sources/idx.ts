/** The files of MNIST and its family (LeCun's idx format), plain or gzip. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { contentHash, type HashOptions, unreadable } from "../content-hash.ts";
import type { ImagesSpec } from "../images-spec.ts";
import type { LabelledImages } from "../task.ts";
import { grayPicture } from "./gray.ts";

/** Bytes that such a file holds at most; MNIST has 47 MB. */
const LARGEST = 2 ** 31;
/** Nothing that deflate can do makes more of a byte. */
const GZIP_RATIO = 1032;

/** @throws one line that names the file and what is wrong with it */
export async function openIdx(
  { images, labels, classNames: given }: ImagesSpec & { kind: "idx" },
  options: HashOptions = {},
): Promise<LabelledImages> {
  const { sizes, data } = await readIdx(images, 3);
  const [count = 0, height = 0, width = 0] = sizes;
  const { sizes: labelSizes, data: found } = await readIdx(labels, 1);
  if (labelSizes[0] !== count)
    throw new Error(`${labels}: expected ${count} labels, one for each picture of ${images}, got ${labelSizes[0]}`);
  if (count === 0 || height * width === 0) throw new Error(`${images}: expected pictures, got ${sizes.join(" x ")}`);
  const most = found.reduce((max, label) => Math.max(max, label), 0);
  const classNames = given ?? Array.from({ length: most + 1 }, (_, i) => String(i));
  if (most >= classNames.length)
    throw new Error(`${labels}: label ${most} has no name: there are ${classNames.length} classes`);
  const name = images;
  return {
    name,
    count,
    classNames,
    labels: Int32Array.from(found),
    contentHash: await contentHash("idx", [images], options),
    image: async (index) => {
      if (!(index >= 0 && index < count))
        throw new Error(`${name}: picture must be in 0 .. ${count - 1}, got ${index}`);
      return grayPicture(data.subarray(index * height * width, (index + 1) * height * width), width, height);
    },
    describe: (index) => `${name} number ${index}`,
  };
}

interface IdxArray {
  readonly sizes: readonly number[];
  readonly data: Uint8Array;
}

/** An array of bytes with so many axes. */
async function readIdx(path: string, axes: number): Promise<IdxArray> {
  const header = 4 + 4 * axes;
  let head = new Uint8Array(0);
  let array: IdxArray | undefined;
  let filled = 0;
  // A pipeline that is left early says that it was aborted, not why.
  let wrong: unknown;
  try {
    const { gzip, size } = await probe(path);
    const bytes = createReadStream(path, { highWaterMark: 1 << 18 });
    const take = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of chunks) {
        let rest = chunk;
        if (!array) {
          const missing = header - head.length;
          head = joined(head, chunk.subarray(0, missing));
          rest = chunk.subarray(Math.min(missing, chunk.length));
          if (head.length < header) continue;
          array = arrayOf(head, axes, gzip ? size * GZIP_RATIO : size - header);
        }
        if (filled + rest.length > array.data.length)
          throw new Error(
            `expected ${array.data.length} bytes behind its header of ${array.sizes.join(" x ")}, got more`,
          );
        array.data.set(rest, filled);
        filled += rest.length;
      }
    };
    const taken = (chunks: AsyncIterable<Uint8Array>): Promise<void> =>
      take(chunks).catch((error: unknown) => {
        wrong = error;
        throw error;
      });
    if (gzip) await pipeline(bytes, createGunzip(), taken);
    else await pipeline(bytes, taken);
    if (!array) throw new Error(`expected a header of ${header} bytes, got ${head.length}`);
    if (filled < array.data.length)
      throw new Error(
        `expected ${array.data.length} bytes behind its header of ${array.sizes.join(" x ")}, got ${filled}`,
      );
    return array;
  } catch (thrown) {
    const error = wrong ?? thrown;
    if (error instanceof Error && "code" in error) throw unreadable(path, error);
    throw new Error(`${path}: is no idx file: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param most bytes that the file can hold behind its header */
function arrayOf(head: Uint8Array, axes: number, most: number): IdxArray {
  const view = new DataView(head.buffer, head.byteOffset);
  const [magic, expected] = [view.getUint32(0), 0x0800 + axes];
  if (magic !== expected)
    throw new Error(
      `expected it to begin with 0x${expected.toString(16)} (bytes, ${axes} axes), got 0x${magic.toString(16)}`,
    );
  const sizes = Array.from({ length: axes }, (_, i) => view.getUint32(4 + 4 * i));
  const length = sizes.reduce((product, size) => product * size, 1);
  if (length > Math.min(LARGEST, most))
    throw new Error(`${sizes.join(" x ")} bytes are more than the file can hold (${Math.min(LARGEST, most)})`);
  return { sizes, data: new Uint8Array(length) };
}

async function probe(path: string): Promise<{ readonly gzip: boolean; readonly size: number }> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(new Uint8Array(2), 0, 2, 0);
    return { gzip: buffer[0] === 0x1f && buffer[1] === 0x8b, size: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
