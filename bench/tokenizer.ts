/**
 * Our tokenizer beside Hugging Face's Rust one, in one thread each: a new process a side and round, in turns. A process
 * loads the vocabulary, tokenizes captions it has not seen (cold), then further sets of them (warm). See README.md.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { officialMerges } from "../src/tokenizer/index.ts";
import { captionMaker } from "./captions.ts";
import { COMMON_FLAGS, command, needPython, publish, root, runOf, say, sayIfBusy, whole } from "./command.ts";
import { cell, type Spread, spread, table } from "./report.ts";

export interface TokenizerJob {
  readonly merges: readonly (readonly [string, string])[];
  /** The byte alphabet in id order. */
  readonly alphabet: readonly string[];
  /** The first is the cold one; no text comes twice. */
  readonly sets: readonly (readonly string[])[];
}

export interface Tokenized {
  /** Processor seconds from nothing to a tokenizer. */
  readonly loading: number;
  /** For each set. */
  readonly seconds: readonly number[];
  /** Of the first set. */
  readonly ids: readonly (readonly number[])[];
  readonly versions: Readonly<Record<string, string>>;
}

const SIDES = ["ours", "tokenizers", "tokenizers-fast"] as const;
const CAPTIONS = 10_000;
const SETS = 6;

const { values: flags } = parseArgs({ options: COMMON_FLAGS });

function measure(side: string, jobPath: string): Tokenized {
  const [command, ...args] =
    side === "ours"
      ? [process.execPath, join(import.meta.dirname, "tokenizer-ours.js"), jobPath]
      : [flags.python, join(root, "bench", "python", "tokenizer_peer.py"), jobPath, side];
  const result: Tokenized = JSON.parse(execFileSync(command, args, { maxBuffer: 2 ** 28, encoding: "utf8" }));
  return result;
}

async function writeTokenizerJob(path: string): Promise<{ readonly words: number; readonly distinct: number }> {
  const maker = await captionMaker();
  const sets = Array.from({ length: SETS }, (_, seed) => maker.make(CAPTIONS, seed));
  maker.close();
  const { byteCharacters } = await import("../src/tokenizer/bytes.ts");
  const job: TokenizerJob = { merges: await officialMerges(), alphabet: byteCharacters, sets };
  writeFileSync(path, JSON.stringify(job));
  const words = (sets[0] ?? []).flatMap(
    (caption) => caption.toLowerCase().match(/\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu) ?? [],
  );
  return { words: words.length, distinct: new Set(words).size };
}

/** Captions whose ids differ: those that the official cleaning repairs and the peer's does not. */
function differing(a: Tokenized, b: Tokenized): number {
  return a.ids.filter((ids, i) => ids.join() !== b.ids[i]?.join()).length;
}

const FIGURES = {
  "loading, ms": ({ loading }: Tokenized) => loading * 1000,
  "cold, captions/s": ({ seconds: [cold = Number.NaN] }: Tokenized) => CAPTIONS / cold,
  "warm, captions/s": ({ seconds }: Tokenized) => CAPTIONS / spread(seconds.slice(1)).median,
} as const;

async function main(): Promise<void> {
  const rounds = whole("rounds", flags.rounds);
  needPython(flags.python, "--python");
  sayIfBusy();

  const folder = mkdtempSync(join(tmpdir(), "clip-ts-bench-"));
  try {
    const path = join(folder, "job.json");
    const { words, distinct } = await writeTokenizerJob(path);
    const all = new Map<string, Tokenized[]>(SIDES.map((side) => [side, []]));
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) all.get(side)?.push(measure(side, path));
      say(`round ${round + 1} of ${rounds}`);
    }
    const [ours = [], theirs = []] = [all.get("ours"), all.get("tokenizers")];
    const differ = ours[0] && theirs[0] ? differing(ours[0], theirs[0]) : CAPTIONS;
    if (differ > CAPTIONS / 20) throw new Error(`the tokenizers differ on ${differ} of ${CAPTIONS} captions`);

    const figures = Object.entries(FIGURES).map(([name, figure]) => {
      const values = Object.fromEntries([...all].map(([side, runs]) => [side, runs.map(figure)]));
      const ratios = SIDES.slice(1).map((side): [string, Spread] => {
        const of = values.ours?.map((value, i) => value / (values[side]?.[i] ?? Number.NaN));
        return [side, spread(of ?? [])];
      });
      return { name, values, ratio: Object.fromEntries(ratios) };
    });
    const versions = Object.assign({}, ...[...all.values()].map(([first]) => first?.versions));
    const results = {
      ...runOf(),
      rounds,
      ...{ captions: CAPTIONS, words, distinct, differ, versions, figures },
    };
    const tables = [
      `${results.date.slice(0, 10)}; ${results.processor}, one thread; processor time; ${rounds} rounds; ${Object.entries(
        versions,
      )
        .map(([name, version]) => `${name} ${version}`)
        .join(", ")}.`,
      "",
      `${CAPTIONS} captions a set, ${words} words of which ${distinct} are distinct; ids differ in ${differ} captions, which the official cleaning repairs.`,
      "",
      ...table(
        ["", "clip-ts", "tokenizers", "tokenizers, no offsets", "ours / theirs", "ours / theirs, no offsets"],
        figures.map(({ name, values, ratio }) => [
          name,
          ...SIDES.map((side) => cell(spread(values[side] ?? []), (x) => x.toFixed(0))),
          ...SIDES.slice(1).map((side) => cell(ratio[side], (x) => x.toFixed(2))),
        ]),
      ),
    ].join("\n");
    publish("tokenizer", results, tables, flags);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await command(main);
