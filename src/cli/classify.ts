import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { Command } from "commander";
import type { Prediction } from "../clip.ts";
import { templatesOf } from "../eval/prompts.ts";
import { loadModel } from "./load-model.ts";
import { cosine, whole } from "./options.ts";
import { picturesIn } from "./pictures.ts";

interface Flags {
  readonly model: string;
  readonly labels?: string;
  readonly labelsFile?: string;
  readonly template?: readonly string[];
  readonly threshold?: number;
  readonly top: number;
  readonly json?: boolean;
  readonly threads?: number;
}

export const classifyCommand = (): Command =>
  new Command("classify")
    .description("Say which of some labels fit pictures best.")
    .argument("<image...>", "pictures or folders of pictures")
    .option("--model <model>", "run folder, file, or a name on the hub such as ViT-B/32", join("runs", "quickstart"))
    .option("--labels <a,b,...>", "labels, separated by commas")
    .option("--labels-file <file>", "a file with a label a line; - is the standard input")
    .option("--template <text>", "prompt with {} for the label, or the name of a set; several are averaged", collected)
    .option("--threshold <cosine>", 'similarity below which the answer is "none of these"', cosine)
    .option("--top <n>", "labels shown for each picture", whole, 5)
    .option("--json", "one line of JSON for each picture, with all labels")
    .option("--threads <n>", "threads of the engine (default: the machine's cores)", whole)
    .addHelpText(
      "after",
      `
Examples:
  clip-ts classify photo.png --labels "cat,dog,sailboat"
  clip-ts classify photos/ --labels-file names.txt --threshold 0.2 --json
  printf 'cat\\ndog\\n' | clip-ts classify photo.png --labels-file - --template "a drawing of a {}"`,
    )
    .action(classify);

const collected = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

async function classify(inputs: readonly string[], flags: Flags): Promise<void> {
  const labels = await labelsOf(flags);
  const paths = await picturesIn(inputs);
  const clip = await loadModel(flags.model, flags.threads === undefined ? {} : { threads: flags.threads });
  try {
    const templates = flags.template?.flatMap(templatesOf) ?? clip.templates;
    const options = { templates, ...(flags.threshold === undefined ? {} : { threshold: flags.threshold }) };
    for (const path of paths) {
      const predictions = await clip.classify(path, labels, options);
      process.stdout.write(
        flags.json ? `${JSON.stringify({ image: path, predictions })}\n` : shown(path, predictions, flags.top),
      );
    }
  } finally {
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
  const lines = labels === undefined ? (await linesOf(labelsFile ?? "-")).split("\n") : labels.split(",");
  const found = [...new Set(lines.map((line) => line.trim()).filter((line) => line !== ""))];
  const where = labels === undefined ? (labelsFile ?? "-") : "--labels";
  if (found.length === 0) throw new Error(`${where === "-" ? "standard input" : where}: expected labels, got none`);
  return found;
}

async function linesOf(file: string): Promise<string> {
  if (file === "-") return readAll(process.stdin);
  try {
    if ((await stat(file)).isDirectory()) throw new Error("is a folder");
    return await readFile(file, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new Error(`labels file ${file}: ${missing ? "there is no such file" : reason(error)}`);
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
