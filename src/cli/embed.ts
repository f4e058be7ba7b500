import { stat } from "node:fs/promises";
import { Command } from "commander";
import { inBatches, mapAhead } from "../ahead.ts";
import type { CLIP } from "../clip.ts";
import { locked } from "../lock.ts";
import type { LongText } from "../tokenizer/index.ts";
import { type CountBar, createCountBar } from "./count-bar.ts";
import { encoded } from "./encode-batch.ts";
import { engineOption } from "./engines.ts";
import { errorsPath, type FeatureFile, featureFormat, namesPath, openFeatureFile } from "./feature-file.ts";
import { GOES_ON, INTERRUPTED, onInterrupt } from "./interrupt.ts";
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
import { collected } from "./options.ts";
import { print } from "./output.ts";
import { checkOutput } from "./output-path.ts";
import { countPictures, picturesIn } from "./pictures.ts";

interface Flags extends ModelFlags {
  readonly out: string;
  readonly text?: readonly string[];
  readonly texts?: string;
  readonly raw?: boolean;
  readonly longText: LongText;
  readonly json?: boolean;
}

/** Inputs that are encoded and flushed together. */
const BATCH = { images: 64, texts: 256 } as const;
/** Inputs without features that are named one by one; the others are counted. */
const NAMED = 20;

export const embedCommand = (): Command =>
  new Command("embed")
    .argument("[image...]", "pictures or folders of pictures, with the folders in them")
    .requiredOption("-o, --out <file>", "what to write: a name that ends in .safetensors, .npy or .jsonl")
    .option("--text <text>", "a text instead of pictures; several are possible", collected)
    .option("--texts <file>", "texts instead of pictures, one a line; - is the standard input")
    .addOption(modelOption())
    .addOption(activationOption())
    .option("--raw", "features as the encoder gives them (default: of length 1, whose dot products are cosines)")
    .addOption(longTextOption("error"))
    .option("--json", "a summary as JSON")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(quantizeOption())
    .addOption(precisionOption())
    .addHelpText(
      "after",
      `
Rows are float32, [inputs, width], in the order of the inputs; .safetensors and .npy have the names of their rows beside them
in OUT.names.jsonl, .jsonl has {"name", "features"} a line. Inputs that cannot be read have no row: they are named, and kept
in OUT.errors.jsonl, and the status is 1. A run that was stopped goes on where it was with the same command.

Examples:
  clip-ts embed photos/ -o photos.safetensors
  clip-ts embed --texts captions.txt --long-text chunk -o captions.npy
  cat titles.txt | clip-ts embed --texts - -o titles.jsonl`,
    )
    .action(async (inputs: readonly string[], flags: Flags) => {
      process.exitCode = await embed(inputs, flags);
    });

interface Source {
  readonly kind: "images" | "texts";
  /** Unknown of a stream. */
  readonly total?: number;
  /** In the same order every time. */
  names(): AsyncGenerator<string>;
}

async function embed(inputs: readonly string[], flags: Flags): Promise<number> {
  featureFormat(flags.out);
  await checkOutput(flags.out);
  const source = await sourceOf(inputs, flags);
  const clip = await loadModel(flags);
  const waiting = (): never => {
    throw new Error(`${flags.out}: another process is writing it`);
  };
  try {
    return await locked(`${flags.out}.partial.lock`, () => encodeAll(clip, source, flags), { waiting });
  } finally {
    await clip.close();
  }
}

async function encodeAll(clip: CLIP, source: Source, flags: Flags): Promise<number> {
  const { kind, total } = source;
  const { out, longText, raw = false } = flags;
  const { fingerprint, config } = clip;
  const bar = createCountBar(kind);
  const interrupt = onInterrupt(() => bar.say("stopping after this batch"));
  try {
    const width = config.embedDim;
    const file = await openFeatureFile(out, { fingerprint, kind, longText, normalized: !raw, width });
    const sayError = fewErrors(bar, out);
    const work = mapAhead(batches(source, file, out), 2, async ({ names, isNew }) => ({
      count: names.length,
      entries: isNew ? await encoded(clip, kind, names, { normalize: !raw, longText }) : undefined,
    }));
    let done = 0;
    for await (const { count, entries } of work) {
      if (interrupt.signal.aborted) {
        await file.pause();
        bar.end();
        process.stderr.write(`stopped after ${done}; ${GOES_ON}\n`);
        return INTERRUPTED;
      }
      done += count;
      if (entries) {
        await file.append(entries);
        for (const entry of entries) if ("error" in entry) sayError(entry.error);
      } else bar.begin(done);
      bar.show(done, total);
    }
    bar.end();
    const result = await file.finish();
    if (result.rows === 0)
      throw new Error(`${out}: ${done === 0 ? "there were no texts" : `none of ${done} inputs could be read`}`);
    await report(flags, kind, width, result);
    return result.failed > 0 ? 1 : 0;
  } finally {
    bar.end();
    interrupt.release();
  }
}

/** Says the first errors one by one. */
function fewErrors(bar: CountBar, out: string): (error: string) => void {
  let said = 0;
  return (error) => {
    said++;
    if (said <= NAMED) bar.say(error);
    if (said === NAMED + 1) bar.say(`further ones are in ${errorsPath(out)}`);
  };
}

async function sourceOf(inputs: readonly string[], { text, texts }: Flags): Promise<Source> {
  const given = [inputs.length > 0, text !== undefined, texts !== undefined].filter(Boolean).length;
  if (given !== 1) throw new Error("embed: name either pictures, or texts with --text or --texts");
  if (inputs.length > 0) return { kind: "images", total: await countPictures(inputs), names: () => picturesIn(inputs) };
  if (text !== undefined)
    return {
      kind: "texts",
      total: text.length,
      names: async function* () {
        yield* text;
      },
    };
  const file = texts ?? "-";
  const names = async function* (): AsyncGenerator<string> {
    for await (const line of textLines(file, "texts")) yield line.text;
  };
  if (file === "-") return { kind: "texts", names };
  let total = 0;
  for await (const _ of names()) total++;
  return { kind: "texts", total, names };
}

/** Inputs in batches; first, in one, those that an earlier run has done, which must be the same ones. */
async function* batches(
  { kind, names }: Source,
  file: FeatureFile,
  out: string,
): AsyncGenerator<{ readonly names: readonly string[]; readonly isNew: boolean }> {
  const inputs = names();
  const earlier: string[] = [];
  for await (const { name } of file.done()) {
    const { done, value } = await inputs.next();
    if (done) break;
    if (value !== name)
      throw new Error(`${out}.partial: has ${name} where there is ${value} now; remove it to begin anew`);
    earlier.push(name);
  }
  if (earlier.length > 0) yield { names: earlier, isNew: false };
  for await (const batch of inBatches(inputs, BATCH[kind])) yield { names: batch, isNew: true };
}

async function report(
  { out, json }: Flags,
  kind: Source["kind"],
  width: number,
  { rows, failed }: { readonly rows: number; readonly failed: number },
): Promise<void> {
  const { size } = await stat(out);
  const names = out.endsWith(".jsonl") ? undefined : namesPath(out);
  const errors = failed > 0 ? errorsPath(out) : undefined;
  if (json) return print(`${JSON.stringify({ out, kind, rows, width, bytes: size, failed, names, errors })}\n`);
  const lost = failed > 0 ? `; ${failed} could not be read (${errors})` : "";
  await print(`${out}: ${rows} x ${width} features of ${kind}${lost}\n`);
}
