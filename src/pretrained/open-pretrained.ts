/** Opens a published model or a run: everything that must agree is read and checked, the numbers come when they are asked for. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ModelFile, openModel, type ReadModelOptions, type TensorFile } from "../checkpoint/index.ts";
import { named } from "../checkpoint/tensor-file.ts";
import type { HostTensors } from "../engine/engine.ts";
import type { PreprocessConfig } from "../image/index.ts";
import { readJson } from "../json-file.ts";
import { type Activation, type ClipConfig, PIXEL_DEVIATION, PIXEL_MEAN } from "../model/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import { readCompanions } from "./companions.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { openWeights, type Place, placeOf, weightsOf } from "./folder.ts";
import { type HuggingFaceKind, huggingFaceSource, readHuggingFaceConfig } from "./hugging-face-config.ts";
import { huggingFaceDefault, readHuggingFacePreprocess } from "./hugging-face-preprocess.ts";
import { atImageSize } from "./image-size.ts";
import { openClipSource, readOpenClipConfig } from "./open-clip-config.ts";
import { chooseTokenizer, type NamedTokenizer } from "./tokenizer-choice.ts";

export interface PretrainedOptions {
  /** Of weights that come without a configuration, since they do not show it. @default quickGelu, with a warning */
  readonly activation?: Activation;
  /** The whole architecture of weights that come without a configuration. @default inferred from them */
  readonly config?: ClipConfig;
  /** In place of the model's own, or where it has none. */
  readonly tokenizer?: Tokenizer;
  /** Side of the pictures in pixels; at another one than the model's its positional embeddings are interpolated. @default the model's */
  readonly imageSize?: number;
}

/** Something that no file said. */
export interface Guess {
  readonly what: string;
  readonly why: string;
  /** Whether it could be wrong and nobody would notice: a reason to warn. */
  readonly uncertain: boolean;
}

export type PretrainedFormat =
  | "clip-ts run"
  | "clip-ts model"
  | "open_clip folder"
  | "Hugging Face CLIP folder"
  | "Hugging Face SigLIP folder"
  | "TorchScript archive"
  | "PyTorch checkpoint"
  | "PyTorch checkpoint of before 1.6"
  | "safetensors file";

/** Everything that must agree, but the weights. */
export interface PretrainedInfo {
  readonly format: PretrainedFormat;
  readonly config: ClipConfig;
  readonly preprocess: PreprocessConfig;
  /** Undefined if the model has none of its own, and its vocabulary is not the official one. */
  readonly tokenizer: Tokenizer | undefined;
  /** Where the tokenizer is from, or why there is none. */
  readonly tokenizerFrom: string;
  /** Prompts that read like the captions of the training. */
  readonly templates: readonly string[];
  /** Differs between models: what is kept of a model's results is kept by it. */
  readonly fingerprint: string;
  readonly guesses: readonly Guess[];
}

export interface OpenPretrained extends PretrainedInfo {
  /** Files of the weights. */
  readonly files: readonly string[];
  /** Parameters and buffers by official name, in f32; all by default. @throws one line that names the file and the tensor at fault */
  readWeights(wanted?: (name: string) => boolean): Promise<HostTensors>;
  close(): Promise<void>;
}

/** Of models that do not say what they were trained with. */
const TEMPLATES: readonly string[] = ["a photo of a {}."];

/**
 * Opens a run of clip-ts, a folder of open_clip or Hugging Face, or a file: safetensors, PyTorch's state dicts, training checkpoints, TorchScript.
 * @throws an error of one line that names the file and the field, tensor or entry at fault
 */
export async function openPretrained(path: string, options: PretrainedOptions = {}): Promise<OpenPretrained> {
  const opened = await openAsTrained(path, options);
  const { imageSize = opened.config.imageSize } = options;
  if (imageSize === opened.config.imageSize) return opened;
  try {
    return atImageSize(opened, imageSize);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function openAsTrained(path: string, options: PretrainedOptions): Promise<OpenPretrained> {
  const place = await placeOf(path);
  if (place.kind === "run") return openRun(place, options);
  const said = place.config === undefined ? undefined : await readConfig(place, place.config);
  const { file, paths } = await openWeights(weightsOf(place));
  try {
    const model = await openModel(file, modelOptions(said, options));
    const { config } = model;
    const companions = said ? undefined : await named(file.name, () => readCompanions(file.metadata));
    const own = options.tokenizer ?? companions?.tokenizer;
    const { tokenizer, from } = await chooseTokenizer(place, config, said?.tokenizer, own);
    const guesses = said?.guesses ?? guessesOfFile(file, model, companions !== undefined);
    return {
      format: said?.format ?? formatOf(file, model),
      config,
      preprocess: said?.preprocess ?? companions?.preprocess ?? officialPreprocess(config),
      tokenizer,
      tokenizerFrom: own && own === companions?.tokenizer ? "the file's metadata" : from,
      templates: companions?.templates ?? TEMPLATES,
      fingerprint: await fingerprintOf(config, paths),
      guesses: [...guesses, ...outsiders(model)],
      files: paths,
      readWeights: (wanted) => model.readWeights(wanted),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What the configuration of a folder says. */
interface Said {
  readonly format: PretrainedFormat;
  readonly config: ClipConfig;
  readonly preprocess: PreprocessConfig;
  readonly tokenizer: NamedTokenizer | undefined;
  readonly source: ReturnType<typeof openClipSource>;
  readonly guesses: readonly Guess[];
}

async function readConfig({ kind, folder }: Place, path: string): Promise<Said> {
  const json = await readJson(path);
  if (kind === "open_clip") {
    const { config, preprocess, tokenizer, notes } = readOpenClipConfig(json, path);
    const guesses = notes.map((why) => ({ what: "preprocessing", why, uncertain: true }));
    return { format: "open_clip folder", config, preprocess, tokenizer, source: openClipSource(path), guesses };
  }
  const { kind: model, config } = readHuggingFaceConfig(json, path);
  const { preprocess, guesses } = await huggingFacePreprocess(folder, model, config.imageSize);
  const format = model === "clip" ? "Hugging Face CLIP folder" : "Hugging Face SigLIP folder";
  return { format, config, preprocess, tokenizer: undefined, source: huggingFaceSource(path), guesses };
}

async function huggingFacePreprocess(
  folder: string,
  kind: HuggingFaceKind,
  imageSize: number,
): Promise<{ preprocess: PreprocessConfig; guesses: readonly Guess[] }> {
  const path = join(folder, "preprocessor_config.json");
  if (existsSync(path))
    return { preprocess: readHuggingFacePreprocess(await readJson(path), path, kind, imageSize), guesses: [] };
  const why = "there is no preprocessor_config.json: transformers' default is taken";
  return {
    preprocess: huggingFaceDefault(kind, imageSize),
    guesses: [{ what: "preprocessing", why, uncertain: true }],
  };
}

function modelOptions(said: Said | undefined, { config, activation }: PretrainedOptions): ReadModelOptions {
  if (said && activation && said.config.activation !== activation)
    throw new Error(`${said.source.file}: the model has ${said.config.activation}, asked for is ${activation}`);
  if (said) return { config: said.config, configSource: said.source };
  return { ...(config && { config }), ...(activation && { activation }) };
}

const officialPreprocess = ({ imageSize }: ClipConfig): PreprocessConfig => ({
  size: imageSize,
  resize: "shortest",
  interpolation: "bicubic",
  mean: PIXEL_MEAN,
  deviation: PIXEL_DEVIATION,
  fill: 0,
});

function formatOf({ format }: TensorFile, { configured }: ModelFile): PretrainedFormat {
  if (format === "safetensors") return configured === "metadata" ? "clip-ts model" : "safetensors file";
  if (format === "torchscript") return "TorchScript archive";
  return format === "pytorch" ? "PyTorch checkpoint" : "PyTorch checkpoint of before 1.6";
}

/** A file alone says little; OpenAI's are taken for the rule. */
function guessesOfFile(
  { format }: TensorFile,
  { config, configured, activated }: ModelFile,
  saysPreprocessing: boolean,
): Guess[] {
  const openai = format === "torchscript" || activated === "openai";
  const guesses: Guess[] = [];
  if (configured === "inferred")
    guesses.push({
      what: "architecture",
      why: "inferred from the shapes of the weights, heads 64 wide",
      uncertain: false,
    });
  if (activated === "classes")
    guesses.push({ what: `activation ${config.activation}`, why: "the archive's modules have it", uncertain: false });
  if (activated === "openai")
    guesses.push({
      what: `activation ${config.activation}`,
      why: "it holds input_resolution, context_length and vocab_size as OpenAI's archives do",
      uncertain: false,
    });
  if (activated === "assumed")
    guesses.push({
      what: `activation ${config.activation}`,
      why: "weights do not show it; OpenAI's models have quickGelu, most of open_clip's gelu: say which (the option activation, --activation)",
      uncertain: true,
    });
  if (!saysPreprocessing)
    guesses.push({
      what: "preprocessing",
      why: "a file alone does not say it; OpenAI's is taken",
      uncertain: !openai && configured !== "metadata",
    });
  return guesses;
}

function outsiders({ tensors: { outside, prefix } }: ModelFile): Guess[] {
  if (outside.length === 0) return [];
  const why = `${outside.length} tensors (${outside[0]}...) do not begin with ${JSON.stringify(prefix)} as the CLIP's do`;
  return [{ what: "only a part of the file is read", why, uncertain: true }];
}

/** A checkpoint of a training run. */
async function openRun(
  { folder, step: wanted }: Place,
  { config, activation, tokenizer }: PretrainedOptions,
): Promise<OpenPretrained> {
  const { checkpointPath, openRunFolder, readWeights } = await import("../train/run-folder.ts");
  const run = await openRunFolder(folder);
  if (activation && activation !== run.model.activation)
    throw new Error(`${folder}: the model was trained with ${run.model.activation}, asked for is ${activation}`);
  if (config) throw new Error(`${folder}: a run has its own configuration; leave the option config`);
  const { step, weights, fingerprint } = await readWeights(run, wanted);
  const { interpolation = "bicubic", background, templates } = run.recipe;
  return {
    format: "clip-ts run",
    config: run.model,
    preprocess: { ...officialPreprocess(run.model), interpolation, ...(background !== undefined && { background }) },
    tokenizer: tokenizer ?? run.tokenizer,
    tokenizerFrom: tokenizer ? "given" : "tokenizer.json of the run",
    templates,
    fingerprint,
    guesses: [],
    files: [checkpointPath(folder, step)],
    readWeights: async (wanted = () => true) =>
      Object.fromEntries(Object.entries(weights).filter(([name]) => wanted(name))),
    close: async () => {},
  };
}
