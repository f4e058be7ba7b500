import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { CLIP } from "../clip.ts";
import { checkpointSteps, openRunFolder, reportPath } from "../train/run-folder.ts";
import { createEngine, type EngineName, engineOption } from "./engines.ts";
import { INTERRUPTED } from "./interrupt.ts";
import { threadsOption } from "./model-flag.ts";
import { whole } from "./options.ts";
import { print } from "./output.ts";
import { RECIPES } from "./recipe-file.ts";
import { emojiTable, reportRun } from "./run-report.ts";
import { duration } from "./status-line.ts";
import { textTable } from "./text-table.ts";
import { createRun, trainWithProgress } from "./train.ts";

interface Flags {
  readonly out: string;
  readonly steps?: number;
  readonly engine: EngineName;
  readonly threads?: number;
}

export const quickstartCommand = (): Command =>
  new Command("quickstart")
    .option("--out <folder>", "the run's folder", join("runs", "quickstart"))
    .option("--steps <n>", "fewer steps, for a look", whole)
    .addOption(engineOption())
    .addOption(threadsOption())
    .addHelpText(
      "after",
      `
About five minutes on two cores. A run that was stopped goes on where it was.

Examples:
  clip-ts quickstart
  clip-ts quickstart --out runs/look --steps 100`,
    )
    .action(async (flags: Flags) => {
      process.exitCode = await quickstart(flags);
    });

async function quickstart({ out, steps, engine: name, threads }: Flags): Promise<number> {
  const begun = performance.now();
  const recipe = RECIPES["emoji-s"];
  const wanted = steps ?? recipe.steps;
  const short = { ...recipe, steps: wanted, schedule: { ...recipe.schedule, warmup: Math.ceil(0.08 * wanted) } };
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const resumed = existsSync(join(out, "config.json"));
  const run = resumed ? await openRunFolder(out) : await createRun(short, out);
  if (steps !== undefined && steps !== run.recipe.steps)
    throw new Error(`${out}: holds a run of ${run.recipe.steps} steps, not of ${steps}; name another folder (--out)`);
  if (resumed) say(`${out}: going on with the run that is here`);

  const engine = await createEngine(name, threads);
  try {
    if (((await checkpointSteps(out)).at(-1) ?? 0) < run.recipe.steps) {
      const { finished } = await trainWithProgress(run, engine);
      if (!finished) return INTERRUPTED;
    }
    say("naming the drawings it never saw");
    const clip = await CLIP.load(out, { engine });
    const results = await reportRun(run, clip);
    await clip.close();
    const took = duration((performance.now() - begun) / 1000);
    await print(`\n${textTable(emojiTable(results))}\n
Report: ${reportPath(out)}   (${took} in all)
Next:   clip-ts classify PICTURE.png --model ${out} --labels "red heart,hot dog,sailboat"\n`);
    return 0;
  } finally {
    await engine.close();
  }
}
