import { Command, Option } from "commander";
import { inBatches, mapAhead } from "../ahead.ts";
import { type Prediction, rank } from "../clip.ts";
import { templatesOf } from "../eval/prompts.ts";
import type { LongText } from "../tokenizer/index.ts";
import { createCountBar } from "./count-bar.ts";
import { encoded } from "./encode-batch.ts";
import { engineOption } from "./engines.ts";
import { INTERRUPTED, onInterrupt } from "./interrupt.ts";
import { textLines } from "./lines.ts";
import {
  activationOption,
  loadModel,
  longTextOption,
  type ModelFlags,
  modelOption,
  precisionOption,
  quantizeOption,
  threadsOption,
} from "./model-flag.ts";
import { collected, cosine, whole } from "./options.ts";
import { print } from "./output.ts";
import { countPictures, picturesIn } from "./pictures.ts";

interface Flags extends ModelFlags {
  readonly labels?: string;
  readonly labelsFile?: string;
  readonly template?: readonly string[];
  readonly threshold?: number;
  readonly longText: LongText;
  readonly top: number;
  readonly json?: boolean;
}

export const classifyCommand = (): Command =>
  new Command("classify")
    .argument("<image...>", "pictures or folders of pictures, with the folders in them")
    .addOption(modelOption())
    .addOption(activationOption())
    .addOption(new Option("--labels <a,b,...>", "labels, separated by commas").conflicts("labelsFile"))
    .option("--labels-file <file>", "a file with a label a line; - is the standard input")
    .option("--template <text>", "prompt with {} for the label, or the name of a set; several are averaged", collected)
    .option("--threshold <cosine>", 'similarity below which the answer is "none of these"', cosine)
    .addOption(longTextOption("error"))
    .option("--top <n>", "labels shown for each picture", whole, 5)
    .option("--json", "one line of JSON for each picture, with all labels")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(quantizeOption())
    .addOption(precisionOption())
    .addHelpText(
      "after",
      `
Pictures that cannot be read are named on stderr (with --json as lines {"image", "error"}); the status is 1 then.

Examples:
  clip-ts classify photo.png --labels "cat,dog,sailboat"
  clip-ts classify photos/ --labels-file names.txt --threshold 0.2 --json > answers.jsonl
  printf 'cat\\ndog\\n' | clip-ts classify photo.png --labels-file - --template "a drawing of a {}"`,
    )
    .action(async (inputs: readonly string[], flags: Flags) => {
      process.exitCode = await classify(inputs, flags);
    });

/** Pictures that are encoded together. */
const BATCH = 32;

async function classify(inputs: readonly string[], flags: Flags): Promise<number> {
  const labels = await labelsOf(flags);
  const total = await countPictures(inputs);
  const clip = await loadModel(flags);
  const bar = createCountBar("pictures");
  const interrupt = onInterrupt(() => bar.say("stopping after this batch"));
  let [done, failed] = [0, 0];
  try {
    const templates = flags.template?.flatMap(templatesOf) ?? clip.templates;
    const { weights } = await clip.classifier(labels, templates, flags.longText);
    const options = { normalize: true, longText: flags.longText };
    const batches = mapAhead(inBatches(picturesIn(inputs), BATCH), 2, (paths) =>
      encoded(clip, "images", paths, options),
    );
    for await (const entries of batches) {
      if (interrupt.signal.aborted) {
        bar.say(`stopped after ${done} of ${total} pictures`);
        return INTERRUPTED;
      }
      for (const entry of entries) {
        const { name: image } = entry;
        if ("error" in entry) {
          failed++;
          if (flags.json) await print(`${JSON.stringify({ image, error: entry.error })}\n`);
          bar.say(entry.error);
          continue;
        }
        const predictions = rank(entry.features, labels, weights, clip.logitScale, flags.threshold, clip.logitBias);
        await print(flags.json ? `${JSON.stringify({ image, predictions })}\n` : shown(image, predictions, flags.top));
      }
      done += entries.length;
      if (!process.stdout.isTTY) bar.show(done, total); // the answers themselves show how far it is
    }
    return failed > 0 ? 1 : 0;
  } finally {
    bar.end();
    interrupt.release();
    await clip.close();
  }
}

function shown(path: string, predictions: readonly Prediction[], top: number): string {
  const lines = predictions
    .slice(0, top)
    .map(
      ({ label, probability, similarity }) =>
        `  ${(100 * probability).toFixed(1).padStart(5)} %  ${similarity.toFixed(3).padStart(6)}  ${label}\n`,
    );
  return `${path}\n${lines.join("")}`;
}

async function labelsOf({ labels, labelsFile }: Flags): Promise<string[]> {
  if (labels === undefined && labelsFile === undefined)
    throw new Error("classify: name the labels with --labels or --labels-file");
  const lines: string[] = [];
  if (labels !== undefined) lines.push(...labels.split(","));
  else for await (const { text } of textLines(labelsFile ?? "-", "labels file")) lines.push(text);
  const found = [...new Set(lines.map((line) => line.trim()).filter((line) => line !== ""))];
  const where = labels === undefined ? (labelsFile ?? "-") : "--labels";
  if (found.length === 0) throw new Error(`${where === "-" ? "standard input" : where}: expected labels, got none`);
  return found;
}
