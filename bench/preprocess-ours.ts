/** Our side of preprocess.ts, a process of its own: one JSON line. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { decodeImage, type PreprocessConfig, preprocess, preprocessFile, toTensor } from "../src/image/index.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../src/model/index.ts";
import type { Preprocessed } from "./preprocess.ts";

const folder = process.argv[2] ?? "";
const passes = Number(process.argv[3]);
const files = readdirSync(folder)
  .sort()
  .map((file) => join(folder, file));
const config: PreprocessConfig = {
  ...{ size: 224, resize: "shortest", interpolation: "bicubic", fill: 0 },
  ...{ mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION },
};

async function seconds(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const batch = new Float32Array(files.length * 3 * 224 * 224);
const whole = async (): Promise<void> => {
  for (const [i, file] of files.entries())
    toTensor(await preprocessFile(file, config), config, batch, i * 3 * 224 * 224);
};
const decoded = await Promise.all(files.map((file) => decodeImage(file)));
const resized = async (): Promise<void> => {
  for (const image of decoded) preprocess(image, config);
};

const hash = createHash("sha256");
for (const file of files) hash.update((await preprocessFile(file, config)).data);
for (let i = 0; i < 3; i++) await whole(); // compiled by then
const result: Preprocessed = {
  pixels: hash.digest("hex"),
  whole: [],
  resized: [],
  versions: { node: process.versions.node },
};
for (let i = 0; i < passes; i++) {
  result.whole.push(await seconds(whole));
  result.resized.push(await seconds(resized));
}
process.stdout.write(`${JSON.stringify(result)}\n`);
