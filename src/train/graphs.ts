/** The programs of training, as graphs. State entries go by published names; everything else by the names below. */
import {
  add,
  argmax,
  compare,
  constant,
  convert,
  crossEntropy,
  exp,
  type Graph,
  gather,
  gradients,
  iota,
  mul,
  placed,
  pullback,
  reduceMean,
  reshape,
  type Tensor,
  type TensorType,
  trace,
  traceResizable,
} from "../graph/index.ts";
import {
  bufferShapes,
  type ClipConfig,
  contrastiveLoss,
  decays,
  encodeImage,
  encodeText,
  normalizePixels,
  type Placement,
  pairwiseLogistic,
  parameterShapes,
  sigmoidLoss,
  similarityLogits,
} from "../model/index.ts";
import {
  type AdamW,
  clampLogitScale,
  gradientName,
  groupParameters,
  momentTypes,
  type Updated,
  update,
  updateSignature,
} from "./optimizer.ts";
import { ROW_BLOCK } from "./text-packing.ts";

export interface StepShape {
  readonly config: ClipConfig;
  readonly adam: AdamW;
  /** Pairs that go through the encoders at once. */
  readonly batch: number;
  /** Columns of the tokens: at least the longest caption of the batch, at most the context. */
  readonly length: number;
  /** Rows of the texts that are computed, of batch * length, in blocks of ROW_BLOCK. @default all rows */
  readonly textBlocks?: number;
  /** Parts of the batch whose texts are packed by themselves, each into that many blocks: one for each device along `data`. @default 1 */
  readonly textParts?: number;
  /** Patches of each picture that are seen (patch dropout). @default all */
  readonly patches?: number;
  /** Whether the backward pass computes each block again from its input, which is all that is kept of it. @default false */
  readonly checkpointActivations?: boolean;
  /** The tower that stays as it is (LiT, arXiv 2111.07991); batch normalisation in it has its running statistics. @default neither */
  readonly lock?: Tower;
  /** Of parameters and arithmetic; f64 is for checks on the reference engine. @default "f32" */
  readonly dtype?: "f32" | "f64";
  /** Where the parameters are on a mesh, by name. @default whole, on one device */
  readonly placements?: Readonly<Record<string, Placement>>;
}

export type Tower = "image" | "text";

type Signature = Record<string, TensorType>;
type Named = Readonly<Record<string, Tensor>>;

/** A graph and which of its inputs the training state holds. */
export interface StatefulGraph {
  readonly graph: Graph;
  readonly state: readonly string[];
}

const isOf = (tower: Tower | undefined, name: string): boolean =>
  tower !== undefined && name !== "logit_scale" && name.startsWith("visual.") === (tower === "image");

/** Types of everything a step keeps: parameters, running statistics and what else is only read, moments. */
export function stateOf({ config, lock, dtype = "f32" }: StepShape) {
  const typed = (shapes: Readonly<Record<string, readonly number[]>>): Signature =>
    Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { dtype, shape }]));
  const all = Object.entries(parameterShapes(config));
  const trained = Object.fromEntries(all.filter(([name]) => !isOf(lock, name)));
  const locked = Object.fromEntries(all.filter(([name]) => isOf(lock, name)));
  const groups = groupParameters(trained, decays);
  const moments = momentTypes(groups, dtype);
  const parameters = typed(trained);
  const accumulated = Object.fromEntries(Object.entries(parameters).map(([name, type]) => [gradientName(name), type]));
  return { groups, parameters, buffers: typed({ ...bufferShapes(config), ...locked }), moments, accumulated };
}

/** Pictures are 8-bit [batch, size, size, 3]; in f64 they come as the official checks have them, normalised [batch, 3, size, size]. */
function pairSignature(shape: StepShape): Signature {
  const { config, batch, length, textBlocks, textParts = 1, patches, dtype = "f32" } = shape;
  const size = config.imageSize;
  const images: TensorType =
    dtype === "f64" ? { dtype, shape: [batch, 3, size, size] } : { dtype: "u8", shape: [batch, size, size, 3] };
  return {
    images,
    ...(patches !== undefined && { patches: { dtype: "i32", shape: [batch, patches] } }),
    tokens: { dtype: "i32", shape: [batch, length] },
    ...(textBlocks !== undefined && {
      rows: { dtype: "i32", shape: [textParts, textBlocks, ROW_BLOCK] },
      places: { dtype: "i32", shape: [batch, length] },
    }),
  };
}

function part(from: Named, types: Signature): Record<string, Tensor> {
  return Object.fromEntries(
    Object.keys(types).map((name) => {
      const tensor = from[name];
      if (!tensor) throw new Error(`training graph: no tensor ${name}`);
      return [name, tensor];
    }),
  );
}

function one(from: Named, name: string): Tensor {
  const tensor = from[name];
  if (!tensor) throw new Error(`training graph: no tensor ${name}`);
  return tensor;
}

/**
 * Parameters as layers take them: on a mesh, put together from what is kept in pieces over `data`. Whole ones are said to be whole, they
 * and their gradients: the compiler would split the vector that small ones are packed in, and exchange its edges.
 */
function asUsed(x: Named, { placements }: StepShape): Named {
  if (!placements) return x;
  return Object.fromEntries(
    Object.entries(x).map(([name, tensor]) => {
      const { used } = placements[name] ?? {};
      return [name, used ? placed(tensor, used) : tensor];
    }),
  );
}

function encodePairs(given: Named, shape: StepShape) {
  const { config, lock, checkpointActivations = false, textParts = 1 } = shape;
  const x = asUsed(given, shape);
  const images = one(x, "images");
  const pixels = images.dtype === "u8" ? normalizePixels(images) : images;
  const parts = textParts > 1 ? [textParts] : [];
  const packing =
    x.rows && x.places
      ? { rows: reshape(x.rows, [...parts, -1]), places: reshape(x.places, [...parts, -1]) }
      : undefined;
  const image = encodeImage(x, pixels, config, { train: lock !== "image", ...(x.patches && { patches: x.patches }) });
  const text = encodeText(x, one(x, "tokens"), config, packing);
  const keep = checkpointActivations ? [images, ...image.blockInputs, ...text.blockInputs] : [];
  return { imageFeatures: image.features, textFeatures: text.features, statistics: image.statistics, keep };
}

/** Share of images whose own text is the most similar one. */
function accuracyOf(logits: Tensor, targets: Tensor, dtype: "f32" | "f64"): Tensor {
  return reduceMean(convert(compare(argmax(logits), "eq", targets), dtype));
}

function updatedState({ parameters, moments }: Updated): Named {
  return { ...parameters, ...moments, logit_scale: clampLogitScale(one(parameters, "logit_scale")) };
}

/**
 * What programs for any texts are traced with (see `traceResizable`): primes that are no model's size, large enough for what lowering
 * does with many rows, and so close to each other that no threshold of it lies between them.
 */
const TEXT_SIZES = { length: [281, 283], textBlocks: [311, 313] } as const;

/** One of the programs below for texts of any length, of which any number of blocks is computed. */
export function forAnyTexts(make: (shape: StepShape) => StatefulGraph, shape: StepShape): StatefulGraph {
  let state: readonly string[] = [];
  const graph = traceResizable(TEXT_SIZES, (sizes) => {
    const made = make({ ...shape, ...sizes });
    state = made.state;
    return made.graph;
  });
  return { graph, state };
}

/** The whole step in one program: encode, loss, gradients, AdamW, clamp. */
export function stepGraph(shape: StepShape): StatefulGraph {
  const { adam, batch, dtype = "f32" } = shape;
  const { groups, parameters, buffers, moments } = stateOf(shape);
  const state = { ...parameters, ...buffers, ...moments };
  const graph = trace({ ...state, ...pairSignature(shape), ...updateSignature(dtype) } as Signature, (x) => {
    const { imageFeatures, textFeatures, statistics, keep } = encodePairs(x, shape);
    const { loss, logits } = lossOf(x, imageFeatures, textFeatures);
    const values = part(x, parameters);
    const slopes = zipped(Object.keys(values), gradients(loss, Object.values(values), { keep }));
    const scalars = { size: one(x, "size"), floor: one(x, "floor"), keep: one(x, "keep") };
    const updated = update(adam, groups, values, slopes, x, scalars);
    return {
      ...updatedState(updated),
      ...statistics,
      loss,
      accuracy: accuracyOf(logits, iota("i32", [batch], 0), dtype),
      scale: exp(one(x, "logit_scale")),
      gradientNorm: updated.norm,
      gradientSquares: updated.squares,
    };
  });
  return { graph, state: Object.keys(state) };
}

/** CLIP's loss, or SigLIP's where the logits have a bias. */
function lossOf(x: Named, imageFeatures: Tensor, textFeatures: Tensor): { loss: Tensor; logits: Tensor } {
  const logitScale = one(x, "logit_scale");
  return x.logit_bias
    ? sigmoidLoss(imageFeatures, textFeatures, logitScale, x.logit_bias)
    : contrastiveLoss(imageFeatures, textFeatures, logitScale);
}

/** Tensors, given in the order of their names. */
function zipped(names: readonly string[], tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(
    names.map((name, i) => {
      const tensor = tensors[i];
      if (!tensor) throw new Error(`training graph: no tensor ${name}`);
      return [name, tensor];
    }),
  );
}

/*
 * GradCache (Gao et al., arXiv 2101.06983): the contrastive loss needs all features of a batch at once, but not all
 * activations. 1. features of every micro-batch; 2. loss and its gradients to the features; 3. each micro-batch once
 * more, pulling those gradients back to the parameters; 4. the update. Exact for models without batch normalisation,
 * whose statistics are those of each micro-batch here.
 */

/** 1. Features of a micro-batch. */
export function featuresGraph(shape: StepShape): StatefulGraph {
  const { parameters, buffers } = stateOf(shape);
  const state = { ...parameters, ...buffers };
  const graph = trace({ ...state, ...pairSignature(shape) } as Signature, (x) => {
    const { imageFeatures, textFeatures } = encodePairs(x, shape);
    return { imageFeatures, textFeatures };
  });
  return { graph, state: Object.keys(state) };
}

/** Of the whole batch's loss, as against what the encoders accumulate. */
export const lossGradientName = (parameter: string): string => `lossGradient.${parameter}`;

/** The parameters that are in the loss and in no encoder: their whole gradients come with the loss. */
export const lossParameters = ({ logitBias = false }: ClipConfig): string[] =>
  logitBias ? ["logit_scale", "logit_bias"] : ["logit_scale"];

/**
 * 2. A block of rows of the loss: images `rows` against all texts and, in CLIP's, texts `rows` against all images. The sum of all
 * blocks' results is the whole batch's, and the logits in memory are block x batch, not batch x batch.
 */
export function lossGraph(shape: StepShape, pairs: number, block: number): StatefulGraph {
  const { config, dtype = "f32" } = shape;
  const features: TensorType = { dtype, shape: [pairs, config.embedDim] };
  const own = lossParameters(config);
  const signature: Signature = {
    ...Object.fromEntries(own.map((name) => [name, { dtype, shape: [] }])),
    imageFeatures: features,
    textFeatures: features,
    rows: { dtype: "i32", shape: [block] },
  };
  const graph = trace(signature, (x) => {
    const [images, texts, rows] = [one(x, "imageFeatures"), one(x, "textFeatures"), one(x, "rows")];
    const { loss, logits } = blockLoss(x, images, texts, rows);
    const slopes = gradients(loss, [images, texts, ...own.map((name) => one(x, name))]);
    return {
      loss,
      accuracy: mul(accuracyOf(logits, rows, dtype), block / pairs),
      ...zipped(["imageSlopes", "textSlopes", ...own.map(lossGradientName)], slopes),
    };
  });
  return { graph, state: own };
}

function blockLoss(x: Named, images: Tensor, texts: Tensor, rows: Tensor): { loss: Tensor; logits: Tensor } {
  const [pairs = 0, [block = 0]] = [images.shape[0], rows.shape];
  const logitScale = one(x, "logit_scale");
  const cosines = similarityLogits(gather(images, rows), texts, logitScale);
  if (x.logit_bias) {
    const logits = add(cosines, x.logit_bias);
    return { loss: mul(pairwiseLogistic(logits, rows), 1 / pairs), logits };
  }
  const back = similarityLogits(gather(texts, rows), images, logitScale);
  const loss = mul(add(crossEntropy(cosines, rows), crossEntropy(back, rows)), (0.5 * block) / pairs);
  return { loss, logits: cosines };
}

/** 3. Adds a micro-batch's share to the accumulated gradients; running statistics move once a micro-batch. */
export function backwardGraph(shape: StepShape): StatefulGraph {
  const { config, batch, dtype = "f32" } = shape;
  const { parameters, buffers, accumulated } = stateOf(shape);
  const state = { ...parameters, ...buffers, ...accumulated };
  const features: TensorType = { dtype, shape: [batch, config.embedDim] };
  const signature = { ...state, ...pairSignature(shape), imageSlopes: features, textSlopes: features };
  const graph = trace(signature as Signature, (x) => {
    const { imageFeatures, textFeatures, statistics, keep } = encodePairs(x, shape);
    const values = part(x, parameters);
    const slopes = pullback(
      [imageFeatures, textFeatures],
      [one(x, "imageSlopes"), one(x, "textSlopes")],
      Object.values(values),
      { keep },
    );
    const sums = Object.entries(zipped(Object.keys(values), slopes)).map(([name, slope]) => [
      gradientName(name),
      add(one(x, gradientName(name)), slope),
    ]);
    return { ...statistics, ...Object.fromEntries(sums) };
  });
  return { graph, state: Object.keys(state) };
}

/** 4. The update from the accumulated gradients, which start at zero again. */
export function applyGraph(shape: StepShape): StatefulGraph {
  const { config, adam, dtype = "f32" } = shape;
  const { groups, parameters, moments, accumulated } = stateOf(shape);
  const state = { ...parameters, ...moments, ...accumulated };
  const own = lossParameters(config).map((name) => [lossGradientName(name), { dtype, shape: [] }] as const);
  const signature = { ...state, ...updateSignature(dtype), ...Object.fromEntries(own) };
  const graph = trace(signature as Signature, (x) => {
    const values = part(x, parameters);
    const slopes = Object.fromEntries(Object.keys(values).map((name) => [name, one(x, gradientName(name))]));
    const scalars = { size: one(x, "size"), floor: one(x, "floor"), keep: one(x, "keep") };
    for (const name of lossParameters(config)) slopes[name] = one(x, lossGradientName(name));
    const updated = update(adam, groups, values, slopes, x, scalars);
    const cleared = Object.entries(accumulated).map(([name, type]) => [name, constant(0, dtype, type.shape)]);
    return {
      ...updatedState(updated),
      ...Object.fromEntries(cleared),
      scale: exp(one(x, "logit_scale")),
      gradientNorm: updated.norm,
      gradientSquares: updated.squares,
    };
  });
  return { graph, state: Object.keys(state) };
}
