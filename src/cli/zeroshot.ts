import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { classWeights } from "../eval/class-weights.ts";
import { evaluateEmoji } from "../eval/emoji.ts";
import { openClassFolders } from "../eval/image-folder.ts";
import { TEMPLATES, templatesOf } from "../eval/prompts.ts";
import { zeroShot } from "../eval/zero-shot.ts";
import { engineOption } from "./engines.ts";
import { loadModel, type ModelFlags, quantizeOption, threadsOption } from "./model-flag.ts";
import { emojiTable } from "./run-report.ts";
import { textTable } from "./text-table.ts";

interface Flags extends Omit<ModelFlags, "model"> {
  readonly images?: string;
  readonly template?: string;
  readonly perClass?: boolean;
  readonly json?: boolean;
}

export const zeroshotCommand = (): Command =>
  new Command("zeroshot")
    .description("Measure how well a model classifies pictures by their names alone.")
    .argument("<run>", "run folder")
    .option("--images <folder>", "a folder of pictures for each class, named like it (default: emoji it never saw)")
    .option(
      "--template <name>",
      `prompts: ${Object.keys(TEMPLATES).join(", ")}, or a text with {} (default: the run's)`,
    )
    .option("--per-class", "each class too")
    .option("--json", "figures as JSON")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(quantizeOption())
    .addHelpText(
      "after",
      `
Examples:
  clip-ts zeroshot runs/quickstart
  clip-ts zeroshot runs/own --images test/ --template "a photo of a {}." --per-class`,
    )
    .action(zeroshot);

async function zeroshot(folder: string, flags: Flags): Promise<void> {
  const templates = flags.template === undefined ? undefined : templatesOf(flags.template);
  const source = flags.images === undefined ? undefined : await openClassFolders(flags.images);
  const clip = await loadModel({ ...flags, model: folder });
  // Beside a model of one's own; a model's name on the hub is no folder of ours.
  const cache = existsSync(folder) && statSync(folder).isDirectory() ? join(folder, "class-weights") : undefined;
  try {
    if (!source) {
      const results = await evaluateEmoji(clip, cache);
      process.stdout.write(flags.json ? `${JSON.stringify(results)}\n` : `${textTable(emojiTable(results))}\n`);
      return;
    }
    const weights = await classWeights(clip, source.classNames, templates ?? clip.templates, cache);
    const result = await zeroShot(clip, source, weights);
    if (flags.json) {
      process.stdout.write(`${JSON.stringify({ ...result, classNames: source.classNames })}\n`);
      return;
    }
    const percent = (share: number): string => (100 * share).toFixed(1);
    const { images, classes, top1, top5, meanPerClass, perClass } = result;
    const row = [source.name, String(classes), String(images), percent(top1), percent(top5), percent(meanPerClass)];
    const head = ["pictures of", "ways", "pictures", "top-1 %", "top-5 %", "mean per class %"];
    process.stdout.write(`${textTable({ head, rows: [row] })}\n`);
    if (flags.perClass) {
      const rows = perClass.map((share, i) => [source.classNames[i] ?? "", percent(share)]);
      process.stdout.write(`\n${textTable({ head: ["class", "top-1 %"], rows })}\n`);
    }
  } finally {
    await clip.close();
  }
}
