/** Results of inference.ts as tables. */
import { cell, spread, table } from "./report.ts";

export interface SideCosts {
  /** Seconds from starting the process until one picture is encoded. */
  readonly start: number;
  /** The same with nothing kept from before, where something is. */
  readonly firstStart: number | undefined;
  /** Least cosine with the features of the first side. */
  readonly cosine: number;
  readonly peakBytes: number | undefined;
}

export interface InferenceResults {
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly threads: number;
  readonly rounds: number;
  readonly versions: Readonly<Record<string, string>>;
  /** Pictures or texts a second, by mode and side: one number a block. */
  readonly speeds: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly costs: Readonly<Record<string, SideCosts>>;
  /** Largest share of the machine that other processes took during a block. */
  readonly elsewhere: number;
  readonly weightBytes: number;
}

const TITLES: Readonly<Record<string, string>> = {
  images: "pictures, batch",
  texts: "captions, batch",
  files: "JPEG files of 640 x 480, end to end,",
};

export function inferenceMarkdown(results: InferenceResults): string {
  const { date, processor, cores, threads, rounds, versions, speeds, costs, elsewhere } = results;
  const sides = Object.keys(costs);
  const titleOf = (mode: string): string => mode.replace(/^\w+/, (what) => TITLES[what] ?? what);
  const spreadCell = (values: readonly number[] | undefined, digits: number): string =>
    cell(values && values.length > 0 ? spread(values) : undefined, (x) => x.toFixed(digits));
  const rows = Object.entries(speeds).map(([mode, blocks]) => [
    titleOf(mode),
    ...sides.map((side) => spreadCell(blocks[side], 1)),
  ]);
  const ratios = Object.entries(speeds).flatMap(([mode, blocks]) =>
    ["ours", "ours-int8"].flatMap((own) => {
      const mine = blocks[own];
      if (!mine) return [];
      const over = (side: string): string =>
        side === own
          ? "-"
          : spreadCell(
              blocks[side]?.map((theirs, i) => (mine[i] ?? Number.NaN) / theirs),
              2,
            );
      return [[`${own}: ${titleOf(mode)}`, ...sides.map(over)]];
    }),
  );
  const paid = sides.map((side) => {
    const cost = costs[side];
    const { start = Number.NaN, firstStart, cosine = Number.NaN, peakBytes } = cost ?? {};
    return [
      side,
      start.toFixed(1),
      firstStart === undefined ? "-" : firstStart.toFixed(1),
      peakBytes === undefined ? "?" : (peakBytes / 2 ** 30).toFixed(2),
      cosine.toFixed(5),
    ];
  });
  return [
    `${date.slice(0, 10)}; ViT-B/32, generated weights; ${processor}, ${cores} cores, ${threads} threads; ${rounds} rounds; ` +
      `${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", ")}. Other processes took at most ${Math.round(elsewhere * 100)} % of the machine during a block.`,
    "",
    "Pictures or captions a second, median of the blocks (least to greatest):",
    "",
    ...table(["", ...sides], rows),
    "",
    "How many times as fast as each side, of neighbouring blocks:",
    "",
    ...table(["", ...sides], ratios),
    "",
    ...table(
      ["side", "start to first picture, s", "first start ever, s", "peak memory, GiB", "least cosine with ours"],
      paid,
    ),
  ].join("\n");
}
