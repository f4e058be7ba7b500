/** Our side of tokenizer.ts, a process of its own: one JSON line. */
import { readFileSync } from "node:fs";
import type { Tokenized, TokenizerJob } from "./tokenizer.ts";

const { sets }: TokenizerJob = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const begun = performance.now();
const { officialTokenizer } = await import("../src/tokenizer/index.ts");
const tokenizer = await officialTokenizer();
const loading = (performance.now() - begun) / 1000;

const seconds: number[] = [];
let first: readonly (readonly number[])[] | undefined;
for (const captions of sets) {
  const start = performance.now();
  const { ids, lengths } = tokenizer.tokenize(captions, { contextLength: 77, longText: "truncate" });
  seconds.push((performance.now() - start) / 1000);
  first ??= Array.from(lengths, (length, row) => [...ids.subarray(row * 77, row * 77 + length)]);
}
const result: Tokenized = { loading, seconds, ids: first ?? [], versions: { node: process.versions.node } };
process.stdout.write(`${JSON.stringify(result)}\n`);
