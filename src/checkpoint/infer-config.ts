import type { ClipConfig } from "../model/index.ts";
import { bufferShapes, checkConfig, parameterShapes } from "../model/index.ts";
import { quote } from "./quote.ts";

type ShapeOf = (name: string) => readonly number[] | undefined;

/** Heads are 64 wide in everything that OpenAI published; wider towers than its largest have others, which weights do not show. */
const WIDEST_VISION = 1024;

/** Parts that OpenAI's architectures lack: with them more varies than weights show. */
const VARIANTS: readonly (readonly [tensor: string, what: string])[] = [
  ["visual.attn_pool.latent", "SigLIP's pooling head"],
  ["visual.attn_pool.query", "an attentional pooler"],
  ["visual.conv1.bias", "a bias of the patch embedding"],
  ["visual.proj.weight", "a linear image projection"],
  ["text_projection.weight", "a linear text projection"],
  ["logit_bias", "a bias of the logits"],
];

/**
 * The architecture that weights with the official names belong to, by the rules of the official `build_model`: heads are
 * 64 wide, layers are counted, sizes are read from shapes.
 * @param activation is not visible in the weights
 * @throws an error of one line that names the tensor which is missing, has an impossible shape or belongs to an
 * architecture of which weights do not show enough
 */
export function inferConfig(
  shapes: ReadonlyMap<string, readonly number[]>,
  activation: ClipConfig["activation"],
): ClipConfig {
  const names = [...shapes.keys()];
  if (!names.some((name) => name.startsWith("visual.") || name === "text_projection" || name === "logit_scale"))
    throw new Error("this is no CLIP checkpoint: there are no tensors of an image or a text tower");
  for (const [tensor, what] of VARIANTS)
    if (shapes.has(tensor))
      throw new Error(
        `tensor ${tensor}: a model with ${what}, which needs its configuration: load the folder with its config`,
      );
  const shapeOf: ShapeOf = (name) => shapes.get(name);
  const [contextLength, width] = sizes(shapeOf, "positional_embedding", 2);
  const [, embedDim] = sizes(shapeOf, "text_projection", 2);
  const [vocabSize] = sizes(shapeOf, "token_embedding.weight", 2);
  const resnet = shapes.has("visual.layer1.0.conv1.weight") || shapes.has("visual.attnpool.positional_embedding");
  const { vision, imageSize } = resnet ? resNet(names, shapeOf) : visionTransformer(names, shapeOf);
  const config: ClipConfig = {
    embedDim,
    imageSize,
    vision,
    text: {
      contextLength,
      vocabSize,
      width,
      layers: numbered(names, "transformer.resblocks."),
      heads: headsOf("positional_embedding", width),
    },
    activation,
  };
  checkConfig(config);
  return config;
}

/** Sizes by field of the configuration, as far as the weights show them. */
export function visibleSizes(shapes: ReadonlyMap<string, readonly number[]>): ReadonlyMap<string, number | string> {
  const names = [...shapes.keys()];
  const found = new Map<string, number | string>();
  const put = (field: string, value: number | undefined): void => {
    if (value !== undefined && value > 0) found.set(field, value);
  };
  const [contextLength, width] = shapes.get("positional_embedding") ?? [];
  put("text.contextLength", contextLength);
  put("text.width", width);
  put("text.vocabSize", shapes.get("token_embedding.weight")?.[0]);
  put("text.layers", numbered(names, "transformer.resblocks."));
  put("embedDim", shapes.get("text_projection")?.[1] ?? shapes.get("text_projection.weight")?.[0]);
  const stages = [1, 2, 3, 4].map((stage) => numbered(names, `visual.layer${stage}.`));
  if (stages.every((blocks) => blocks > 0)) {
    put("vision.width", shapes.get("visual.layer1.0.conv1.weight")?.[0]);
    found.set("vision.layers", stages.join());
  } else {
    const [visionWidth, , patchSize] = shapes.get("visual.conv1.weight") ?? [];
    put("vision.width", visionWidth);
    put("vision.patchSize", patchSize);
    put("vision.layers", numbered(names, "visual.transformer.resblocks."));
  }
  return found;
}

/**
 * Refuses a set of tensors that is not exactly that of a configuration; the message names those that are wrong.
 * @param nameInFile what messages call a tensor
 */
export function checkShapes(
  shapes: ReadonlyMap<string, readonly number[]>,
  config: ClipConfig,
  nameInFile: (name: string) => string = (name) => name,
): void {
  const expected = new Map(Object.entries({ ...parameterShapes(config), ...bufferShapes(config) }));
  const missing = [...expected.keys()].filter((name) => !shapes.has(name));
  if (missing.length > 0) throw new Error(`tensor ${nameInFile(missing[0] ?? "")} is missing${more(missing)}`);
  const unexpected = [...shapes.keys()].filter((name) => !expected.has(name));
  if (unexpected.length > 0)
    throw new Error(`unexpected tensor ${quote(nameInFile(unexpected[0] ?? ""))}${more(unexpected)}`);
  const wrong = [...expected].flatMap(([name, shape]) => {
    const got = shapes.get(name) ?? [];
    const fits = got.length === shape.length && got.join() === shape.join();
    return fits ? [] : [`tensor ${nameInFile(name)}: expected [${shape}], got [${got}]`];
  });
  if (wrong.length > 0) throw new Error(wrong.slice(0, 4).join("; ") + (wrong.length > 4 ? more(wrong.slice(3)) : ""));
}

const more = ({ length }: readonly string[]): string => (length > 1 ? ` (and ${length - 1} more)` : "");

function visionTransformer(names: readonly string[], shapeOf: ShapeOf): Pick<ClipConfig, "vision" | "imageSize"> {
  const [width, , patchSize] = sizes(shapeOf, "visual.conv1.weight", 4);
  const grid = gridOf(shapeOf, "visual.positional_embedding");
  const layers = numbered(names, "visual.transformer.resblocks.");
  if (width > WIDEST_VISION)
    throw new Error(
      `tensor visual.conv1.weight: a tower ${width} wide, of whose heads weights do not show the number: load the folder with its config`,
    );
  const heads = headsOf("visual.conv1.weight", width);
  return { imageSize: grid * patchSize, vision: { kind: "vit", width, layers, heads, patchSize } };
}

function resNet(names: readonly string[], shapeOf: ShapeOf): Pick<ClipConfig, "vision" | "imageSize"> {
  const [width] = sizes(shapeOf, "visual.layer1.0.conv1.weight", 4);
  const stage = (i: number): number => numbered(names, `visual.layer${i}.`);
  const imageSize = gridOf(shapeOf, "visual.attnpool.positional_embedding") * 32;
  const heads = headsOf("visual.layer1.0.conv1.weight", width * 32);
  return { imageSize, vision: { kind: "resnet", width, layers: [stage(1), stage(2), stage(3), stage(4)], heads } };
}

function sizes<const Rank extends 2 | 4>(
  shapeOf: ShapeOf,
  name: string,
  rank: Rank,
): Rank extends 2 ? [number, number] : [number, number, number, number] {
  const shape = shapeOf(name);
  if (!shape) throw new Error(`tensor ${name} is missing`);
  if (shape.length !== rank) throw new Error(`tensor ${name}: expected ${rank} dimensions, got [${shape}]`);
  return shape as ReturnType<typeof sizes<Rank>>;
}

/** Side of the square grid that a positional embedding with one more row is for. */
function gridOf(shapeOf: ShapeOf, name: string): number {
  const [rows] = sizes(shapeOf, name, 2);
  const grid = Math.round(Math.sqrt(rows - 1));
  if (grid < 1 || grid ** 2 + 1 !== rows)
    throw new Error(`tensor ${name}: expected 1 + a square number of rows, got ${rows}`);
  return grid;
}

function headsOf(name: string, width: number): number {
  if (width % 64 !== 0) throw new Error(`tensor ${name}: heads are 64 wide, which does not divide a width of ${width}`);
  return width / 64;
}

/** How many of `prefix0`, `prefix1`, ... there are. */
function numbered(names: readonly string[], prefix: string): number {
  const found = names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length).split(".")[0]);
  return new Set(found).size;
}
