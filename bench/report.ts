/** Results as data and as tables. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Median, least and greatest of some numbers. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface SideResult {
  readonly versions: Readonly<Record<string, string>>;
  readonly firstStepSeconds: number;
  readonly compileSeconds: number;
  readonly peakBytes: number | undefined;
}

export interface ModeResult {
  readonly mode: string;
  /** Pairs a second, by side: one number a block. */
  readonly pairsPerSecond: Readonly<Record<string, Spread & { readonly blocks: readonly number[] }>>;
  /** Pairs a second of each of our sides over those of every other, block by block. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, Spread>>>>;
  /** By side, of the last step. */
  readonly loss: Readonly<Record<string, number>>;
  /** Largest share of the machine that other processes took during a block. */
  readonly elsewhere: number | undefined;
}

export interface WorkloadResult {
  readonly workload: string;
  readonly title: string;
  readonly batch: number;
  readonly parameters: number;
  /** Tokens of the captions, both marks included: of all, and the longest of each batch. */
  readonly texts: { readonly mean: number; readonly longest: Spread; readonly context: number };
  readonly modes: readonly ModeResult[];
  readonly sides: Readonly<Record<string, SideResult>>;
}

export interface Results {
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly threads: number;
  readonly rounds: number;
  readonly workloads: readonly WorkloadResult[];
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (position: number): number => sorted[position] ?? Number.NaN;
  const half = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(half)) + at(Math.ceil(half))) / 2, min: at(0), max: at(sorted.length - 1) };
}

export const SIDE_TITLES: Readonly<Record<string, string>> = {
  ours: "ours (onnxruntime)",
  xla: "ours (XLA)",
  "xla-bf16": "ours (XLA, bfloat16)",
  eager: "PyTorch eager",
  compiled: "PyTorch compiled",
  autocast: "PyTorch bfloat16 autocast",
  jax: "JAX",
  "jax-bf16": "JAX, bfloat16",
};

/** Which ratios stand in the table: like beside like. */
const PAIRS = [
  ["ours", "eager"],
  ["ours", "compiled"],
  ["ours", "jax"],
  ["xla", "eager"],
  ["xla", "compiled"],
  ["xla", "jax"],
  ["xla-bf16", "autocast"],
  ["xla-bf16", "jax-bf16"],
] as const;

const MODE_TITLES: Readonly<Record<string, string>> = { data: "with its data", fixed: "bare step" };

/** The tables of a run in Markdown. */
export function markdown({ date, processor, cores, threads, rounds, workloads }: Results): string {
  const measured = workloads.flatMap(({ title, batch, modes }) =>
    modes.map((mode) => ({ what: `${title}, batch ${batch}, ${MODE_TITLES[mode.mode] ?? mode.mode}`, ...mode })),
  );
  const present = Object.keys(SIDE_TITLES).filter((side) => measured.some((mode) => mode.pairsPerSecond[side]));
  const speeds = measured.map(({ what, pairsPerSecond, elsewhere }) => [
    what,
    ...present.map((side) => cell(pairsPerSecond[side], speed)),
    elsewhere === undefined ? "?" : `${Math.round(elsewhere * 100)} %`,
  ]);
  const compared = PAIRS.filter(([own, other]) => measured.some(({ ratios }) => ratios[own]?.[other]));
  const ratios = measured.map(({ what, ratios }) => [
    what,
    ...compared.map(([own, other]) => cell(ratios[own]?.[other], (x) => x.toFixed(2))),
  ]);
  const costs = workloads.flatMap(({ title, sides }) =>
    Object.entries(sides).map(([side, { firstStepSeconds, compileSeconds, peakBytes }]) => [
      title,
      side,
      firstStepSeconds.toFixed(1),
      compileSeconds.toFixed(1),
      peakBytes === undefined ? "?" : (peakBytes / 2 ** 30).toFixed(2),
    ]),
  );
  const versions = new Map(
    workloads.flatMap(({ sides }) => Object.values(sides).flatMap((side) => Object.entries(side.versions))),
  );
  const texts = workloads.map(
    ({ title, texts: { mean, longest, context } }) =>
      `${title}: ${mean.toFixed(1)} on average, ${longest.min} to ${longest.max} the longest of a batch, of ${context}`,
  );
  return [
    `${date.slice(0, 10)}; ${processor}, ${cores} cores, ${threads} threads; float32 but where it says bfloat16; ${rounds} rounds; ` +
      `${[...versions].map(([name, version]) => `${name} ${version}`).join(", ")}.`,
    "",
    "Pairs a second, median of the blocks (least to greatest); ratios are of neighbouring blocks.",
    "",
    ...table(["", ...present.map((side) => SIDE_TITLES[side] ?? side), "others"], speeds),
    "",
    ...table(["", ...compared.map(([own, other]) => `${own} / ${other}`)], ratios),
    "",
    "`others`: the largest share of the machine that other processes took during any block.",
    `Tokens of the captions: ${texts.join("; ")}.`,
    "",
    ...table(["", "side", "first step, s", "compiling, all sizes, s", "peak memory, GiB"], costs),
  ].join("\n");
}

const speed = (pairs: number): string => (pairs < 100 ? pairs.toFixed(1) : pairs.toFixed(0));

/** Median, and in brackets the least and the greatest. */
export function cell(values: Spread | undefined, format: (value: number) => string): string {
  return values ? `${format(values.median)} (${format(values.min)} to ${format(values.max)})` : "-";
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

/** Puts tables between the two marks of a part of a document in docs. @param script of bench that writes it */
export function writeDocs(part: string, tables: string, { page = "benchmarks.md", script = part } = {}): void {
  const path = join(import.meta.dirname, "..", "..", "docs", page);
  const marks = [`<!-- ${part}: written by bench/${script}.ts -->`, `<!-- end of ${part} -->`] as const;
  const text = readFileSync(path, "utf8");
  const [begin, end] = marks.map((mark) => text.indexOf(mark));
  if (begin === undefined || end === undefined || begin < 0 || end < begin)
    throw new Error(`${path}: expected the marks ${marks.join(" and ")}`);
  writeFileSync(path, `${text.slice(0, begin + marks[0].length)}\n${tables}\n${text.slice(end)}`);
}
