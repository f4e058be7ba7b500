/** What a model on disk is, without reading its numbers. */
import { isDeepStrictEqual } from "node:util";
import { NAMINGS, namingOf, prefixOf, type TensorInfo } from "../checkpoint/index.ts";
import { CONFIGS, parameterShapes } from "../model/index.ts";
import { openWeights, placeOf, weightsOf } from "./folder.ts";
import { openPretrained, type PretrainedInfo, type PretrainedOptions } from "./open-pretrained.ts";

export interface Inspection {
  readonly path: string;
  /** Files of the weights, and their bytes together. */
  readonly files: readonly string[];
  readonly bytes: number;
  /** Of the file of weights. */
  readonly container: string;
  /** How its tensors are named, and what stands before every name. */
  readonly naming: string;
  readonly prefix: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** By type in the file. */
  readonly dtypes: readonly { readonly dtype: string; readonly tensors: number; readonly numbers: number }[];
  /** What a CLIP of it has, or why it makes none. */
  readonly model: InspectedModel | { readonly problem: string };
}

export interface InspectedModel extends Omit<PretrainedInfo, "tokenizer"> {
  /** Published architecture of the same sizes. */
  readonly architecture: string | undefined;
  /** Learned numbers. */
  readonly parameters: number;
}

/**
 * @throws an error of one line if the path holds no weights or their file is damaged; a whole file that makes no model is told of
 * as a problem
 */
export async function inspectPretrained(path: string, options: PretrainedOptions = {}): Promise<Inspection> {
  const place = await placeOf(path);
  // The configuration is read first: where it is wrong, the weights do not matter.
  const model = await inspectModel(path, options).catch((error: unknown) => ({
    problem: error instanceof Error ? error.message : String(error),
  }));
  const weights = "files" in model && place.kind === "run" ? (model.files[0] ?? path) : undefined;
  if (place.kind === "run" && weights === undefined && "problem" in model) throw new Error(model.problem);
  if (place.weights === undefined && "problem" in model) throw new Error(model.problem);
  const { file, paths } = await openWeights(weights ?? weightsOf(place));
  try {
    const prefix = prefixOf(file.tensors.keys());
    const inside = [...file.tensors.keys()].filter((name) => name.startsWith(prefix));
    return {
      path,
      files: paths,
      bytes: file.size,
      container: file.format,
      naming: NAMINGS[namingOf(inside.map((name) => name.slice(prefix.length)))].title,
      prefix,
      tensors: file.tensors,
      dtypes: dtypesOf(file.tensors),
      model: "problem" in model ? model : model.info,
    };
  } finally {
    await file.close();
  }
}

async function inspectModel(
  path: string,
  options: PretrainedOptions,
): Promise<{ info: InspectedModel; files: readonly string[] }> {
  const opened = await openPretrained(path, options);
  await opened.close();
  const { format, config, preprocess, tokenizerFrom, templates, fingerprint, guesses, files } = opened;
  const known = Object.entries(CONFIGS).find(([, published]) => isDeepStrictEqual(published, config));
  const info: InspectedModel = {
    format,
    architecture: known?.[0],
    parameters: Object.values(parameterShapes(config)).reduce((sum, shape) => sum + elements(shape), 0),
    config,
    preprocess,
    tokenizerFrom,
    templates,
    fingerprint,
    guesses,
  };
  return { info, files };
}

function dtypesOf(tensors: ReadonlyMap<string, TensorInfo>): Inspection["dtypes"] {
  const found = new Map<string, { tensors: number; numbers: number }>();
  for (const { dtype, shape } of tensors.values()) {
    const { tensors: count, numbers } = found.get(dtype) ?? { tensors: 0, numbers: 0 };
    found.set(dtype, { tensors: count + 1, numbers: numbers + elements(shape) });
  }
  return [...found].map(([dtype, counts]) => ({ dtype, ...counts })).sort((a, b) => b.numbers - a.numbers);
}

const elements = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
