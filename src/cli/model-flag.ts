import { existsSync } from "node:fs";
import { join } from "node:path";
import { Option } from "commander";
import type { CLIP } from "../clip.ts";
import type { Precision, Quantization } from "../engine/engine.ts";
import type { Activation } from "../model/index.ts";
import type { LongText } from "../tokenizer/index.ts";
import { createDownloadBar } from "./download-bar.ts";
import { createEngine, type EngineName } from "./engines.ts";
import { threadCount } from "./options.ts";

/** What `clip-ts quickstart` leaves: the model of a command that is told none. */
const DEFAULT_MODEL = join("runs", "quickstart");

export interface ModelFlags {
  readonly model: string;
  /** @default onnx */
  readonly engine?: EngineName;
  readonly threads?: number;
  readonly quantize?: Quantization;
  readonly precision?: Precision;
  readonly activation?: Activation;
}

export const modelOption = (): Option =>
  new Option("--model <model>", "run folder, file, or a name on the hub such as ViT-B/32").default(DEFAULT_MODEL);

/** Loads what a user names, a path or a model on the hub, with the download's progress on stderr. */
export async function loadModel(flags: ModelFlags): Promise<CLIP> {
  const { model, engine = "onnx", threads, quantize, precision, activation } = flags;
  if (model === DEFAULT_MODEL && !existsSync(model))
    throw new Error(`${model}: is not here: clip-ts quickstart makes it; or say which model (--model ViT-B/32)`);
  const { CLIP } = await import("../clip.ts");
  const bar = createDownloadBar();
  try {
    const options = {
      ...(quantize && { quantize }),
      ...(precision && { precision }),
      ...(activation && { activation }),
    };
    return await CLIP.load(model, { ...options, engine: () => createEngine(engine, threads), hub: bar.hub });
  } finally {
    bar.end();
  }
}

export const activationOption = (): Option =>
  new Option("--activation <name>", "of weights that come without a configuration, which do not show it").choices([
    "quickGelu",
    "gelu",
    "geluTanh",
  ] satisfies Activation[]);

export const quantizeOption = (): Option =>
  new Option("--quantize <kind>", "8 bits: faster, a quarter of the memory, nearly the same features").choices([
    "int8" satisfies Quantization,
  ]);

export const precisionOption = (): Option =>
  new Option(
    "--precision <type>",
    "what products are computed in: float16 with --engine onnx-webgpu, bfloat16 with xla (default: float32)",
  ).choices(["float32", "float16", "bfloat16"] satisfies Precision[]);

export const threadsOption = (): Option =>
  new Option("--threads <n>", "threads of the engine (default: the machine's cores)").argParser(threadCount);

const LONG_TEXTS = ["error", "truncate", "chunk"] as const satisfies readonly LongText[];

export const longTextOption = (standard: LongText): Option =>
  new Option("--long-text <what>", "texts longer than the context: refuse, cut, or average their parts")
    .choices(LONG_TEXTS)
    .default(standard);
