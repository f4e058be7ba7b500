import { Command } from "commander";
import { modelPath } from "../hub/index.ts";
import type { Activation, ClipConfig } from "../model/index.ts";
import { type InspectedModel, type Inspection, inspectPretrained, loadPretrained } from "../pretrained/index.ts";
import { activationOption } from "./model-flag.ts";
import { print } from "./output.ts";
import { textTable } from "./text-table.ts";

interface Flags {
  readonly tensors?: boolean;
  readonly check?: boolean;
  readonly json?: boolean;
  readonly activation?: Activation;
}

export const inspectCommand = (): Command =>
  new Command("inspect")
    .argument("<model>", "a file, a folder, a run, or a model on the hub")
    .option("--tensors", "list every tensor with its type and shape")
    .option("--check", "read every number too: checksums, and none that is not finite")
    .addOption(activationOption())
    .option("--json", "one object of JSON")
    .addHelpText(
      "after",
      `
Nothing in the file is run. A file that makes no CLIP is shown as far as it can be; the exit status is 1 then.

Examples:
  clip-ts inspect ViT-B-32.pt
  clip-ts inspect models/my-open-clip/ --tensors
  clip-ts inspect checkpoint.pt --check --json`,
    )
    .action(inspect);

async function inspect(model: string, { tensors, check, json, activation }: Flags): Promise<void> {
  const path = await modelPath(model);
  const options = activation === undefined ? {} : { activation };
  const found = await inspectPretrained(path, options);
  await print(json ? `${JSON.stringify(asJson(found, tensors ?? false), null, 2)}\n` : shown(found, tensors ?? false));
  if ("problem" in found.model) throw new Error(found.model.problem);
  if (check) {
    await loadPretrained(path, options);
    if (!json) await print("checked         every number is finite, every checksum right\n");
  }
}

function asJson({ tensors, ...rest }: Inspection, list: boolean): unknown {
  const all = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return { ...rest, tensors: list ? all : all.length };
}

function shown(found: Inspection, list: boolean): string {
  const { path, bytes, files, container, naming, prefix, tensors, dtypes, model } = found;
  const format = "problem" in model ? container : model.format;
  const several = files.length > 1 ? ` in ${files.length} files` : "";
  const lines = [
    `${path}: ${format}, ${megabytes(bytes)}${several}`,
    ...("problem" in model ? [] : described(model)),
    row(
      "tensors",
      `${tensors.size}: ${dtypes.map((d) => `${d.dtype} ${figure(d.numbers)} in ${d.tensors}`).join(", ")}`,
    ),
    row("names", `${naming}${prefix === "" ? "" : `, all behind ${JSON.stringify(prefix)}`}`),
    ...("problem" in model
      ? []
      : model.guesses.map(({ what, why, uncertain }) => row(uncertain ? "GUESSED" : "guessed", `${what}: ${why}`))),
  ];
  const table = textTable({
    head: ["tensor", "type", "shape"],
    rows: [...tensors].map(([name, { dtype, shape }]) => [name, dtype, `[${shape.join(", ")}]`]),
  });
  return `${lines.join("\n")}\n${list ? `\n${table}\n` : ""}`;
}

function described(model: InspectedModel): string[] {
  const { config, architecture, parameters, preprocess, tokenizerFrom, fingerprint } = model;
  const { size, resize, interpolation, mean, deviation } = preprocess;
  const side = typeof size === "number" ? `${size} px` : `${size.join(" x ")} px`;
  return [
    row("architecture", `${architecture ?? "of its own"}, ${figure(parameters)} parameters`),
    row("image tower", imageTower(config)),
    row("text tower", textTower(config)),
    row("features", `${config.embedDim}, activation ${config.activation}${config.logitBias ? ", sigmoid loss" : ""}`),
    row("pictures", `${side}, ${resize}, ${interpolation}, mean ${mean.join(" ")}, deviation ${deviation.join(" ")}`),
    row("tokenizer", tokenizerFrom),
    row("fingerprint", fingerprint),
  ];
}

function imageTower({ vision, imageSize }: ClipConfig): string {
  const { kind, width, layers, heads, ...rest } = vision;
  const more = Object.entries(rest).map(([field, value]) => `${field} ${value}`);
  const name = kind === "vit" ? "vision transformer" : "ResNet";
  return [`${name}, ${imageSize} px`, `width ${width}`, `layers ${layers}`, `heads ${heads}`, ...more].join(", ");
}

function textTower({ text }: ClipConfig): string {
  const { contextLength, vocabSize, width, layers, heads, ...rest } = text;
  const more = Object.entries(rest).map(([field, value]) => `${field} ${value}`);
  const first = [
    `context ${contextLength}`,
    `vocabulary ${figure(vocabSize)}`,
    `width ${width}`,
    `layers ${layers}`,
    `heads ${heads}`,
  ];
  return [...first, ...more].join(", ");
}

const row = (name: string, value: string): string => `${name.padEnd(14)}  ${value}`;
const figure = (n: number): string => n.toLocaleString("en");
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
