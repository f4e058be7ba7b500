/**
 * Our preprocessing beside torchvision's on Pillow: pictures a second of one core, from JPEG files to a model's input. A new
 * process a side and round, in turns. See README.md.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { COMMON_FLAGS, command, needPython, publish, root, runOf, say, sayIfBusy, whole } from "./command.ts";
import { cell, spread, table } from "./report.ts";
import { scene } from "./scenes.ts";

export interface Preprocessed {
  /** SHA-256 of all results' RGB bytes. */
  readonly pixels: string;
  /** Processor seconds of all threads, of each pass over all pictures: from files to floats. */
  readonly whole: number[];
  /** The same of decoded pictures to 8-bit RGB of the wanted size. */
  readonly resized: number[];
  readonly versions: Readonly<Record<string, string>>;
}

const SIDES = ["ours", "torchvision"] as const;
const PICTURES = 24;
const PASSES = 5;

const { values: flags } = parseArgs({ options: COMMON_FLAGS });

function measure(side: string, folder: string): Preprocessed {
  const [command, ...args] =
    side === "ours"
      ? [process.execPath, join(import.meta.dirname, "preprocess-ours.js")]
      : [flags.python, join(root, "bench", "python", "preprocess_peer.py")];
  const result: Preprocessed = JSON.parse(
    execFileSync(command, [...args, folder, String(PASSES)], { encoding: "utf8" }),
  );
  return result;
}

const FIGURES = {
  "from file to floats, pictures/s": ({ whole }: Preprocessed) => PICTURES / spread(whole).median,
  "resize and crop alone, pictures/s": ({ resized }: Preprocessed) => PICTURES / spread(resized).median,
} as const;

async function main(): Promise<void> {
  const rounds = whole("rounds", flags.rounds);
  needPython(flags.python, "--python");
  sayIfBusy();

  const folder = mkdtempSync(join(tmpdir(), "clip-ts-bench-"));
  try {
    let bytes = 0;
    for (let i = 0; i < PICTURES; i++) {
      const jpeg = await scene(i);
      bytes += jpeg.length;
      writeFileSync(join(folder, `${String(i).padStart(2, "0")}.jpg`), jpeg);
    }
    const all = new Map<string, Preprocessed[]>(SIDES.map((side) => [side, []]));
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) all.get(side)?.push(measure(side, folder));
      say(`round ${round + 1} of ${rounds}`);
    }
    const [ours = [], theirs = []] = [all.get("ours"), all.get("torchvision")];
    if (ours[0]?.pixels !== theirs[0]?.pixels) throw new Error("the sides' pixels differ");
    const figures = Object.entries(FIGURES).map(([name, figure]) => {
      const values = { ours: ours.map(figure), torchvision: theirs.map(figure) };
      const ratio = spread(values.ours.map((value, i) => value / (values.torchvision[i] ?? Number.NaN)));
      return { name, values, ratio };
    });
    const versions = Object.assign({}, ours[0]?.versions, theirs[0]?.versions);
    const results = {
      ...runOf(),
      rounds,
      ...{ pictures: PICTURES, meanBytes: Math.round(bytes / PICTURES), versions, figures },
    };
    const tables = [
      `${results.date.slice(0, 10)}; ${results.processor}, a second of one core; ${rounds} rounds; ${Object.entries(
        versions,
      )
        .map(([name, version]) => `${name} ${version}`)
        .join(", ")}.`,
      "",
      `${PICTURES} JPEGs of 640 x 480 pixels and ${(bytes / PICTURES / 1000).toFixed(0)} KB on average to 224 x 224; the pixels of both sides are the same.`,
      "",
      ...table(
        ["", "clip-ts", "torchvision on Pillow", "ours / theirs"],
        figures.map(({ name, values, ratio }) => [
          name,
          cell(spread(values.ours), (x) => x.toFixed(0)),
          cell(spread(values.torchvision), (x) => x.toFixed(0)),
          cell(ratio, (x) => x.toFixed(2)),
        ]),
      ),
    ].join("\n");
    publish("preprocess", results, tables, flags);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await command(main);
