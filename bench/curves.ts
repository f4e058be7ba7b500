/**
 * Loss curves of runs in two precisions, seed by seed: whether bfloat16 learns as float32 does.
 *
 *     npm run build && npx tsc -p bench/tsconfig.json && node dist/bench/curves.js runs/float32-{1..5} runs/bfloat16-{1..5}
 */
import { parseArgs } from "node:util";
import { openRunFolder, readMetrics } from "../src/train/run-folder.ts";
import { command, whole } from "./command.ts";
import { table } from "./report.ts";

const { values: flags, positionals: folders } = parseArgs({
  options: { parts: { type: "string", default: "8" } },
  allowPositionals: true,
});

interface Curve {
  readonly precision: string;
  readonly seed: number;
  readonly losses: readonly number[];
}

async function curveOf(folder: string): Promise<Curve> {
  const { recipe } = await openRunFolder(folder);
  const losses = (await readMetrics(folder)).map(({ loss }) => loss);
  if (losses.length !== recipe.steps)
    throw new Error(`${folder}: expected ${recipe.steps} steps, got ${losses.length}: go on with --resume`);
  return { precision: recipe.precision ?? "float32", seed: recipe.seed, losses };
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
const deviation = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1));

await command(async () => {
  const parts = whole("parts", flags.parts);
  const curves = await Promise.all(folders.map(curveOf));
  const seeds = (precision: string): Curve[] =>
    curves.filter((curve) => curve.precision === precision).sort((a, b) => a.seed - b.seed);
  const [exact, rounded] = [seeds("float32"), seeds("bfloat16")];
  const steps = exact[0]?.losses.length ?? 0;
  const seedsOf = (list: readonly Curve[]): string => list.map(({ seed }) => seed).join(", ");
  if (exact.length < 2 || seedsOf(exact) !== seedsOf(rounded))
    throw new Error(
      `expected two seeds or more, the same in both precisions, got ${seedsOf(exact)} and ${seedsOf(rounded)}`,
    );
  if (curves.some(({ losses }) => losses.length !== steps)) throw new Error("expected runs of as many steps each");

  const rows = Array.from({ length: parts }, (_, part) => {
    const [first, end] = [part, part + 1].map((i) => Math.round((i * steps) / parts)) as [number, number];
    const means = (list: readonly Curve[]): number[] => list.map(({ losses }) => mean(losses.slice(first, end)));
    const [own, others] = [means(exact), means(rounded)];
    const differences = others.map((loss, i) => loss - (own[i] ?? Number.NaN));
    const shown = (values: readonly number[], digits: number): string =>
      `${mean(values).toFixed(digits)} ± ${deviation(values).toFixed(digits)}`;
    return [`${first + 1} to ${end}`, shown(own, 4), shown(others, 4), shown(differences, 4)];
  });
  const head = ["steps", "float32", "bfloat16", "bfloat16 − float32, of the same seed"];
  process.stdout.write(`Mean loss, and its standard deviation over the seeds ${seedsOf(exact)}.\n\n`);
  process.stdout.write(`${table(head, rows).join("\n")}\n`);
});
