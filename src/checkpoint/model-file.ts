/** A model in one file: its weights under official names, and a configuration that fits them. */
import type { HostTensor } from "../graph/index.ts";
import type { Activation, ClipConfig } from "../model/index.ts";
import { checkShapes, inferConfig, visibleSizes } from "./infer-config.ts";
import { type OfficialTensors, officialTensors } from "./official-tensors.ts";
import { openTensors } from "./open-tensors.ts";
import { writeSafetensors } from "./safetensors-write.ts";
import { CONFIG_KEY, storedConfig } from "./stored-config.ts";
import { named, type TensorFile } from "./tensor-file.ts";

export interface StoredModel {
  readonly config: ClipConfig;
  /** All parameters and buffers by published name, in f32. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

export interface ReadModelOptions {
  /** What the weights must be. @default what the file's own metadata says, else inferred from the weights */
  readonly config?: ClipConfig;
  /** What it was read from, for messages, and what that calls its fields. */
  readonly configSource?: ConfigSource;
  /**
   * Where the configuration is inferred; weights do not show it.
   * @default what classes of a TorchScript archive say, else "quickGelu", which OpenAI's models have
   */
  readonly activation?: Activation;
}

export interface ConfigSource {
  readonly file: string;
  /** By field of our configuration ("text.width"). */
  readonly fields: Readonly<Record<string, string>>;
}

/** An open model: everything is known and checked but the numbers. */
export interface ModelFile {
  readonly config: ClipConfig;
  readonly tensors: OfficialTensors;
  /** Where the configuration is from. */
  readonly configured: "given" | "metadata" | "inferred";
  /** Where the activation is from; "assumed" means that nothing said it. */
  readonly activated: "given" | "metadata" | "classes" | "openai" | "assumed";
  /** Weights, all by default, one after the other. @throws one line that names the file and the tensor that is not finite or damaged */
  readWeights(wanted?: (name: string) => boolean): Promise<Record<string, HostTensor>>;
}

/**
 * Matches an open file with a configuration; the file stays open.
 * @throws an error of one line that names the file and the tensor that is missing, unexpected or misshapen
 */
export async function openModel(file: TensorFile, options: ReadModelOptions = {}): Promise<ModelFile> {
  return named(file.name, () => {
    const tensors = officialTensors(file);
    const said = storedConfig(file.metadata);
    const ofClasses = activationOf(file.classes);
    const given = options.activation ?? options.config?.activation;
    const certain = said?.activation ?? ofClasses;
    if (certain && given && certain !== given)
      throw new Error(`the model was trained with ${certain}, asked for is ${given}`);
    const { shapes, nameInFile } = tensors;
    const config = options.config ?? said ?? inferConfig(shapes, given ?? ofClasses ?? "quickGelu");
    try {
      checkShapes(shapes, config, nameInFile);
    } catch (error) {
      throw options.configSource ? mismatch(error, shapes, config, options.configSource) : error;
    }
    return {
      config,
      tensors,
      configured: options.config ? "given" : said ? "metadata" : "inferred",
      activated: given
        ? "given"
        : said
          ? "metadata"
          : ofClasses
            ? "classes"
            : isOpenai(tensors.prefix, file)
              ? "openai"
              : "assumed",
      readWeights: async (wanted = () => true) => {
        const weights: Record<string, HostTensor> = {};
        for (const name of shapes.keys()) if (wanted(name)) weights[name] = await tensors.read(name);
        return weights;
      },
    };
  });
}

/**
 * Reads a model.
 * @param source a path, or an open file, which stays open
 * @throws an error of one line that names the file and the tensor that is missing, unexpected, misshapen or not finite
 */
export async function readModel(source: string | TensorFile, options: ReadModelOptions = {}): Promise<StoredModel> {
  const file = typeof source === "string" ? await openTensors(source) : source;
  try {
    const model = await openModel(file, options);
    return { config: model.config, tensors: await model.readWeights() };
  } finally {
    if (typeof source === "string") await file.close();
  }
}

/** Writes a model in one step, its configuration in the metadata. */
export async function writeModel(
  path: string,
  { config, tensors }: StoredModel,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const shapes = new Map(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
  await named(path, () => checkShapes(shapes, config));
  await writeSafetensors(path, tensors, { ...metadata, [CONFIG_KEY]: JSON.stringify(config) });
}

/** The classes of a TorchScript archive's modules are those of the code that was traced. */
function activationOf(classes: ReadonlySet<string> | undefined): Activation | undefined {
  if (classes?.has("QuickGELU")) return "quickGelu";
  return classes?.has("GELU") ? "gelu" : undefined;
}

/** Scalars that OpenAI's archives hold and nobody else's: their state dicts too come from there. */
function isOpenai(prefix: string, { tensors }: TensorFile): boolean {
  return ["input_resolution", "context_length", "vocab_size"].every((name) => tensors.has(prefix + name));
}

/** Says which fields are not those of the weights, and which tensors show it. */
function mismatch(
  error: unknown,
  shapes: ReadonlyMap<string, readonly number[]>,
  config: ClipConfig,
  { file, fields }: ConfigSource,
): Error {
  const told = new Map(Object.entries(flat(config)));
  const wrong = [...visibleSizes(shapes)].flatMap(([field, value]) => {
    const said = told.get(field);
    return said === undefined || said === String(value)
      ? []
      : [`${fields[field] ?? field} is ${said}, by the weights ${value}`];
  });
  const detail = error instanceof Error ? error.message : String(error);
  return new Error(`${file} does not fit the weights: ${[...wrong, detail].join("; ")}`, { cause: error });
}

function flat({ embedDim, imageSize, vision, text }: ClipConfig): Record<string, string> {
  const entries: [string, unknown][] = [
    ["embedDim", embedDim],
    ["imageSize", imageSize],
  ];
  for (const [field, value] of Object.entries(vision)) entries.push([`vision.${field}`, value]);
  for (const [field, value] of Object.entries(text)) entries.push([`text.${field}`, value]);
  return Object.fromEntries(entries.map(([field, value]) => [field, String(value)]));
}
