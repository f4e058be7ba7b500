import { basename } from "node:path";
import { Command } from "commander";
import { writeFileAtomic } from "../checkpoint/index.ts";
import { compareRuns, type Run } from "../eval/compare.ts";
import { comparisonPage } from "../eval/report/comparison-page.ts";
import { comparisonNotes, comparisonTable } from "../eval/report/comparison-table.ts";
import { readResults } from "../eval/result.ts";
import { onDisk } from "../train/run-folder.ts";
import { count } from "./options.ts";
import { print } from "./output.ts";
import { checkOutput } from "./output-path.ts";
import { textTable } from "./text-table.ts";

interface Flags {
  readonly json?: boolean;
  readonly html?: string;
  readonly anyKind?: boolean;
  readonly seed: number;
}

export const compareCommand = (): Command =>
  new Command("compare")
    .argument("<results...>", "two files of results or more, the first being what the others are compared with")
    .option("--html <file>", "also write a page with plots")
    .option("--any-kind", "also different evaluations of the same pictures: zero-shot with a linear probe")
    .option("--seed <number>", "of the bootstrap where no exact interval is known", count, 0)
    .option("--json", "the comparison as JSON")
    .addHelpText(
      "after",
      `
Answers to the same pictures are compared one by one (paired); what was measured on other pictures is refused.

Examples:
  clip-ts eval runs/a --json a.json && clip-ts eval runs/b --json b.json
  clip-ts compare a.json b.json --html a-b.html
  clip-ts compare zero-shot.json probe.json --any-kind`,
    )
    .action(compare);

async function compare(paths: readonly string[], { json, html, seed, anyKind = false }: Flags): Promise<void> {
  if (html !== undefined) await checkOutput(html);
  const comparison = compareRuns(await Promise.all(paths.map((path) => openRun(path, paths))), { seed, anyKind });
  if (html !== undefined)
    await onDisk(html, () => writeFileAtomic(html, new TextEncoder().encode(comparisonPage(comparison))));
  if (json) {
    const tasks = comparison.tasks.map(({ kind, task, figures }) => ({ kind, task, figures }));
    await print(`${JSON.stringify({ ...comparison, tasks })}\n`);
    return;
  }
  await print(`${textTable(comparisonTable(comparison))}\n\n${comparisonNotes(comparison).join("\n")}\n`);
  if (html !== undefined) await print(`\nPage: ${html}\n`);
}

async function openRun(path: string, paths: readonly string[]): Promise<Run> {
  const isUnique = paths.filter((other) => basename(other) === basename(path)).length === 1;
  return { name: isUnique ? basename(path).replace(/\.json$/, "") : path, results: await readResults(path) };
}
