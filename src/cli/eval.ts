import { join } from "node:path";
import { Command, Option } from "commander";
import { cacheFolder } from "../cache/index.ts";
import { writeFileAtomic } from "../checkpoint/index.ts";
import type { CLIP } from "../clip.ts";
import { evaluate } from "../eval/evaluate.ts";
import { EVALUATORS } from "../eval/evaluators.ts";
import { TEMPLATES, templatesOf } from "../eval/prompts.ts";
import { evaluationPage } from "../eval/report/evaluation-page.ts";
import { EVAL_KINDS, type EvalKind, type EvalResult, writeResults } from "../eval/result.ts";
import { findTask, knownTasks } from "../eval/tasks/find-task.ts";
import { LAYOUTS } from "../eval/tasks/layout.ts";
import type { Task } from "../eval/tasks/task.ts";
import { createCountBar } from "./count-bar.ts";
import { engineOption } from "./engines.ts";
import { kindTable, resultTables, taskTable } from "./eval-tables.ts";
import { lineOf } from "./failure.ts";
import { GOES_ON, INTERRUPTED, onInterrupt } from "./interrupt.ts";
import { loadModel, type ModelFlags, precisionOption, quantizeOption, threadsOption } from "./model-flag.ts";
import { count, whole } from "./options.ts";
import { print } from "./output.ts";
import { checkOutput } from "./output-path.ts";
import { textTable } from "./text-table.ts";

interface Flags extends Omit<ModelFlags, "model"> {
  readonly kind: EvalKind;
  readonly list?: boolean;
  readonly data: string;
  readonly cache?: string;
  readonly template?: string;
  readonly seed: number;
  readonly limit?: number;
  readonly perClass?: boolean;
  readonly json?: string;
  readonly html?: string;
}

const KINDS = EVAL_KINDS.filter((kind) => EVALUATORS[kind] !== undefined);

/** Options that are of one kind or another, with the kinds that know them. */
const OWN_OPTIONS = new Map<string, { readonly about: string; readonly kinds: EvalKind[] }>();
for (const kind of KINDS)
  for (const [name, about] of Object.entries(EVALUATORS[kind]?.options ?? {})) {
    const known = OWN_OPTIONS.get(name);
    if (known) known.kinds.push(kind);
    else OWN_OPTIONS.set(name, { about, kinds: [kind] });
  }

export function evalCommand(): Command {
  const command = plainCommand();
  for (const [name, { about, kinds }] of OWN_OPTIONS)
    command.option(`--${name} <value>`, `${about} (${kinds.join(", ")})`);
  return command.action(async (model: string | undefined, tasks: readonly string[], flags: Flags) => {
    process.exitCode = await run(model, tasks, flags);
  });
}

const plainCommand = (): Command =>
  new Command("eval")
    .argument("[model]", "run folder, file, or a name on the hub such as ViT-B/32")
    .argument("[task...]", "names of tasks, LAYOUT:PATH, or task files (default: every task whose files are here)")
    .addOption(new Option("--kind <kind>", "what is measured; see --list").choices(KINDS).default("zero-shot"))
    .option("--list", "tasks and kinds that there are, and what is missing")
    .option("--data <folder>", "where the files of data sets are", process.env.CLIP_TS_DATA ?? "data")
    .option(
      "--template <name>",
      `prompts: ${Object.keys(TEMPLATES).join(", ")}, or a text with {} (default: the task's)`,
    )
    .option("--limit <n>", "pictures of a split at most, drawn with the seed", whole)
    .option("--seed <n>", "of everything that is drawn at random", count, 0)
    .option("--per-class", "each class too")
    .option("--json <file>", "results, for compare and for machines")
    .option("--html <file>", "results as a page with plots and pictures")
    .option("--cache <folder>", "where features are kept (default: evaluation in CLIP_TS_CACHE or the cache folder)")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(quantizeOption())
    .addOption(precisionOption())
    .addHelpText(
      "after",
      `
LAYOUT is one of ${Object.keys(LAYOUTS).join(", ")}: a path with the pictures, or with a folder or file for each split in it.
Features are kept by the content of model and pictures: the same command goes on where it was stopped.

Examples:
  clip-ts eval --list
  clip-ts eval runs/quickstart
  clip-ts eval ViT-B/32 fashion-mnist digits --json results.json --html results.html
  clip-ts eval runs/own folder:test/ --template "a photo of a {}." --per-class
  clip-ts eval runs/own wds:wds_cars own-task.json --kind linear-probe --seed 1`,
    );

async function run(model: string | undefined, said: readonly string[], flags: Flags): Promise<number> {
  if (flags.list) {
    await print(`${textTable(taskTable(await knownTasks(flags.data)))}\n\n${textTable(kindTable(KINDS))}\n`);
    return 0;
  }
  if (model === undefined) throw new Error("eval: name a model: a run folder, a file, or a name on the hub; or --list");
  for (const file of [flags.json, flags.html]) if (file !== undefined) await checkOutput(file);
  const options = optionsOf(flags);
  const templates = flags.template === undefined ? undefined : templatesOf(flags.template);
  const tasks = await tasksOf(said, flags);
  const clip = await loadModel({ ...flags, model });
  const bar = createCountBar("");
  const interrupt = onInterrupt(() => bar.say("stopping; features so far are kept"));
  const results: EvalResult[] = [];
  let failed = 0;
  try {
    for (const task of tasks)
      try {
        results.push(...(await evaluated(clip, task, model, { ...flags, templates, options }, interrupt.signal, bar)));
      } catch (error) {
        if (interrupt.signal.aborted) break;
        // One task's files may be wrong: the others' figures are wanted all the same.
        if (tasks.length === 1) throw error;
        failed++;
        bar.say(`${task.name}: ${lineOf(error)}`);
      }
  } finally {
    bar.end();
    interrupt.release();
    await clip.close();
  }
  if (results.length > 0) await report(results, flags);
  if (interrupt.signal.aborted) {
    process.stderr.write(`stopped; ${GOES_ON}\n`);
    return INTERRUPTED;
  }
  return failed > 0 ? 1 : 0;
}

/** Those that were named, else all that are here. */
async function tasksOf(said: readonly string[], { data, kind }: Flags): Promise<readonly Task[]> {
  if (said.length > 0) return Promise.all(said.map((one) => findTask(one, data)));
  const here = (await knownTasks(data)).flatMap(({ task }) => (task ? [task] : []));
  const needs = EVALUATORS[kind]?.needs;
  if (needs === "nothing") return here.slice(0, 1);
  const fitting = needs === "train" ? here.filter(({ train }) => train !== undefined) : here;
  if (fitting.length === 0)
    throw new Error("eval: the files of no task are here; clip-ts eval --list says what is missing");
  return fitting;
}

interface Chosen extends Flags {
  readonly templates: readonly string[] | undefined;
  readonly options: Readonly<Record<string, string>>;
}

async function evaluated(
  clip: CLIP,
  task: Task,
  modelName: string,
  { kind, seed, limit, cache, templates, options }: Chosen,
  signal: AbortSignal,
  bar: ReturnType<typeof createCountBar>,
): Promise<readonly EvalResult[]> {
  let doing = "";
  const results = await evaluate(clip, task, {
    ...{ kind, seed, modelName, options, signal, cache: cache ?? join(cacheFolder(), "evaluation") },
    ...(limit !== undefined && { limit }),
    ...(templates && { templates }),
    onProgress: (what, done, total) => {
      if (what !== doing) bar.begin(done);
      doing = what;
      bar.show(done, total, what);
    },
  });
  const unreadable = results[0]?.data.unreadable ?? 0;
  if (unreadable > 0) bar.say(`${task.name}: ${unreadable} pictures cannot be read and are in no figure`);
  return results;
}

async function report(results: readonly EvalResult[], { json, html, perClass }: Flags): Promise<void> {
  await print(
    `${resultTables(results, perClass === true)
      .map(textTable)
      .join("\n\n")}\n`,
  );
  if (json !== undefined) await writeResults(json, results);
  if (html !== undefined) await writeFileAtomic(html, new TextEncoder().encode(evaluationPage(results)));
}

/** @throws one line if the kind does not know an option that was given */
function optionsOf({ kind, ...flags }: Flags): Record<string, string> {
  const given = Object.entries(flags).flatMap(([name, value]) => {
    const own = OWN_OPTIONS.get(name);
    if (!own || typeof value !== "string") return [];
    if (!own.kinds.includes(kind)) throw new Error(`--${name}: is of ${own.kinds.join(", ")}, not of ${kind}`);
    return [[name, value] as const];
  });
  return Object.fromEntries(given);
}
