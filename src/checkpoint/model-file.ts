/** A model in one safetensors file: weights with the official names, and a configuration that fits them. */
import type { HostTensor } from "../graph/index.ts";
import type { ClipConfig } from "../model/index.ts";
import { checkShapes, inferConfig } from "./infer-config.ts";
import { openSafetensors, type TensorFile } from "./safetensors.ts";
import { writeSafetensors } from "./safetensors-write.ts";
import { CONFIG_KEY, storedConfig } from "./stored-config.ts";

export interface StoredModel {
  readonly config: ClipConfig;
  /** All parameters and buffers by published name, in f32. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

export interface ReadModelOptions {
  /** What the weights must be. @default what the file's own metadata says, else inferred from the weights */
  readonly config?: ClipConfig;
  /** Used where the configuration is inferred, because weights do not tell. @default "quickGelu", which OpenAI's models have */
  readonly activation?: ClipConfig["activation"];
}

/** Official checkpoints hold these besides the weights; they say nothing that the shapes do not. */
const IGNORED = /(^|\.)(num_batches_tracked|input_resolution|context_length|vocab_size)$/;

const FLOATS: readonly string[] = ["F64", "F32", "F16", "BF16"];

/**
 * Reads a model.
 * @param source a path, or an open file, which stays open
 * @throws an error of one line that names the file and the tensor that is missing, unexpected, misshapen or not finite
 */
export async function readModel(source: string | TensorFile, options: ReadModelOptions = {}): Promise<StoredModel> {
  if (typeof source !== "string") return readTensors(source, options);
  const file = await openSafetensors(source);
  try {
    return await readTensors(file, options);
  } finally {
    await file.close();
  }
}

/** Writes a model in one step, its configuration in the metadata. */
export async function writeModel(
  path: string,
  { config, tensors }: StoredModel,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const shapes = new Map(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
  try {
    checkShapes(shapes, config);
  } catch (error) {
    throw inFile(path, error);
  }
  await writeSafetensors(path, tensors, { ...metadata, [CONFIG_KEY]: JSON.stringify(config) });
}

async function readTensors(file: TensorFile, options: ReadModelOptions): Promise<StoredModel> {
  const stored = [...file.tensors].filter(([name]) => !IGNORED.test(name));
  try {
    const shapes = new Map(stored.map(([name, { shape }]) => [name, scalarScale(name, shape)]));
    const config = configOf(file, shapes, options);
    checkShapes(shapes, config);
    for (const [name, { dtype }] of stored)
      if (!FLOATS.includes(dtype)) throw new Error(`tensor ${name}: expected floating-point numbers, got ${dtype}`);
    const tensors: Record<string, HostTensor> = {};
    for (const [name, shape] of shapes) {
      const tensor = { ...(await file.read(name, "f32")), shape };
      checkFinite(name, tensor);
      tensors[name] = tensor;
    }
    return { config, tensors };
  } catch (error) {
    throw inFile(file.name, error);
  }
}

/** open_clip can store the logit scale as a vector of one. */
function scalarScale(name: string, shape: readonly number[]): readonly number[] {
  return name === "logit_scale" && `${shape}` === "1" ? [] : shape;
}

/** Asked for, said by the file, or inferred; where several say something they must agree. */
function configOf(
  file: TensorFile,
  shapes: ReadonlyMap<string, readonly number[]>,
  { config, activation = config?.activation }: ReadModelOptions,
): ClipConfig {
  const said = storedConfig(file.metadata);
  if (said && activation && said.activation !== activation)
    throw new Error(`the model was trained with ${said.activation}, asked for is ${activation}`);
  return config ?? said ?? inferConfig(shapes, activation ?? "quickGelu");
}

function checkFinite(name: string, { data }: HostTensor): void {
  for (let i = 0; i < data.length; i++)
    if (!Number.isFinite(data[i])) throw new Error(`tensor ${name}: element ${i} is ${data[i]}`);
}

function inFile(name: string, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(name) && error instanceof Error
    ? error
    : new Error(`${name}: ${message}`, { cause: error });
}
