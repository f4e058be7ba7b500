/** Our side of tokenizer.ts, a process of its own: one JSON line. */
import { readFileSync } from "node:fs";
import type { Tokenized, TokenizerJob } from "./tokenizer.ts";

const { sets }: TokenizerJob = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
/** Processor seconds of all threads, the compiler's and the collector's included: other programs do not count. */
const used = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const begun = used();
const { officialTokenizer } = await import("../src/tokenizer/index.ts");
const tokenizer = await officialTokenizer();
const loading = used() - begun;

const seconds: number[] = [];
let first: readonly (readonly number[])[] | undefined;
for (const captions of sets) {
  const start = used();
  const { ids, lengths } = tokenizer.tokenize(captions, { contextLength: 77, longText: "truncate" });
  seconds.push(used() - start);
  first ??= Array.from(lengths, (length, row) => [...ids.subarray(row * 77, row * 77 + length)]);
}
const result: Tokenized = { loading, seconds, ids: first ?? [], versions: { node: process.versions.node } };
process.stdout.write(`${JSON.stringify(result)}\n`);
