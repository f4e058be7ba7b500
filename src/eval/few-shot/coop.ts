/**
 * CoOp (Zhou et al. 2022, arXiv 2109.01134): the words around the class's name are vectors that are learned, through the frozen text tower.
 * The tower is the model's own: it gets a table of embeddings that begins with the learned vectors, and ids moved up behind them.
 */
import type { CLIP } from "../../clip.ts";
import type { HostTensors } from "../../engine/engine.ts";
import {
  concat,
  crossEntropy,
  dot,
  type HostTensor,
  hostTensor,
  l2Normalize,
  mul,
  type Tensor,
} from "../../graph/index.ts";
import { type ClipConfig, type Encoded, encodeText, wholeText } from "../../model/index.ts";
import { normalStream, uniformStream } from "../../model/random.ts";
import { learningRate } from "../../train/schedule.ts";
import { createDescent, keptOf, type Tensors } from "../learning/descent.ts";
import { gathered, rowStream } from "../learning/stream.ts";

export interface CoOpOptions {
  /** Learned vectors around a name, the same for all classes. @default 16, or as many as the context has room for */
  readonly vectors?: number;
  /** Where the name stands among them. @default "end" */
  readonly place?: "end" | "middle";
  /** @default 50 */
  readonly epochs?: number;
  /** @default 2e-3, the paper's; it falls to 0 along a cosine */
  readonly rate?: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** Called after some epochs and the last one, with one normalised row for each class: [classes, embedDim]. */
  readonly onEpoch: (epoch: number, classifier: Float32Array) => void | Promise<void>;
}

/** Pictures of a step, as in the paper. */
const BATCH = 32;
/** Of the paper's stochastic gradient descent nothing is kept but the rate: Adam needs no tuning of it to the tower's size. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
/** Times at which the classifier is looked at. */
const LOOKS = 10;

/** Normalised features of examples and their classes. */
export interface Examples {
  /** [examples, embedDim], each row of length 1. */
  readonly features: Float32Array;
  readonly labels: Int32Array;
}

/** Prompts as ids into a table of the learned vectors and, behind them, the embeddings of the ids that occur. */
interface PromptTable {
  /** i32 [classes, length] */
  readonly tokens: HostTensor;
  /** Which of the tokenizer's ids the rows behind the learned vectors are, ascending: pooling at the highest id stays what it is. */
  readonly used: readonly number[];
  readonly vectors: number;
}

/** @throws one line if the model's texts have no start, or a name leaves no room for a vector */
export function promptTable(
  clip: Pick<CLIP, "config" | "tokenizer">,
  names: readonly string[],
  options: Pick<CoOpOptions, "vectors" | "place"> = {},
): PromptTable {
  const { contextLength } = clip.config.text;
  const { startOfText, endOfText } = clip.tokenizer;
  const { causal } = wholeText(clip.config);
  if (startOfText === undefined || !causal) throw new Error("CoOp: needs a causal text tower whose texts have a start");
  const { vectors: wanted = 16, place = "end" } = options;
  const ids = names.map((name) => clip.tokenizer.encode(name));
  const longest = Math.max(...ids.map((each) => each.length));
  const vectors = Math.min(wanted, contextLength - 2 - longest);
  if (vectors < 1) throw new Error(`CoOp: a name of ${longest} tokens leaves no room in a context of ${contextLength}`);
  const used = [...new Set([0, startOfText, endOfText, ...ids.flat()])].sort((a, b) => a - b);
  const placeOf = new Map(used.map((id, i) => [id, vectors + i]));
  const at = (id: number): number => placeOf.get(id) ?? 0;
  const length = vectors + longest + 2;
  const before = place === "end" ? vectors : Math.ceil(vectors / 2);
  const learned = Array.from({ length: vectors }, (_, i) => i);
  const tokens = new Int32Array(names.length * length).fill(at(0));
  for (const [row, own] of ids.entries())
    tokens.set(
      [at(startOfText), ...learned.slice(0, before), ...own.map(at), ...learned.slice(before), at(endOfText)],
      row * length,
    );
  return { tokens: hostTensor("i32", [names.length, length], tokens), used, vectors };
}

/** The prompts' features [classes, embedDim], from the learned vectors `context` and the frozen tower in `x`. */
export function encodePrompts(x: Tensors, tokens: Tensor, config: ClipConfig, table: PromptTable): Encoded {
  const { context, words } = x;
  if (!context || !words) throw new Error("CoOp: no embeddings");
  const { vectors, used } = table;
  const text = wholeText(config);
  const moved = {
    ...config,
    text: {
      ...config.text,
      vocabSize: vectors + used.length,
      ...(text.pool === "eos" ? { endOfText: vectors + used.indexOf(text.endOfText) } : {}),
    },
  };
  return encodeText({ ...x, "token_embedding.weight": concat([context, words], 0) }, tokens, moved);
}

/** Learns the context of the class names from examples. */
export async function learnContext(
  clip: CLIP,
  names: readonly string[],
  { features, labels }: Examples,
  options: CoOpOptions,
): Promise<void> {
  const { epochs = 50, rate = 2e-3, seed, signal, onEpoch } = options;
  const { config, engine, logitScale } = clip;
  const table = promptTable(clip, names, options);
  const batch = Math.min(BATCH, labels.length);
  const { embedDim } = config;
  const weights = await clip.readWeights((name) => !name.startsWith("visual.") && !name.startsWith("logit_"));
  const descent = await createDescent(engine, {
    ...(await embeddings(weights, table, seed)),
    inputs: {
      tokens: { dtype: "i32", shape: table.tokens.shape },
      features: { dtype: "f32", shape: [batch, embedDim] },
      labels: { dtype: "i32", shape: [batch] },
    },
    adam: ADAM,
    loss: (x) => {
      if (!x.tokens || !x.features || !x.labels) throw new Error("CoOp: no inputs");
      const { features: texts, blockInputs } = encodePrompts(x, x.tokens, config, table);
      const classes = l2Normalize(texts);
      const cosines = dot(x.features, classes, { batch: [[], []], contract: [[1], [1]] });
      const keep = keptOf(x.tokens, blockInputs);
      return { loss: crossEntropy(mul(cosines, logitScale), x.labels), keep };
    },
  });
  try {
    const classifier = await descent.compile({ tokens: { dtype: "i32", shape: table.tokens.shape } }, (x) => {
      if (!x.tokens) throw new Error("CoOp: no tokens");
      return { classifier: l2Normalize(encodePrompts(x, x.tokens, config, table).features) };
    });
    const perEpoch = Math.ceil(labels.length / batch);
    const every = Math.max(1, Math.floor(epochs / LOOKS));
    const rows = rowStream(labels.length, batch, seed);
    for (let step = 0; step < epochs * perEpoch; step++) {
      signal?.throwIfAborted();
      const numbers = rows(step);
      await descent.step(
        {
          tokens: table.tokens,
          features: hostTensor("f32", [batch, embedDim], gathered(features, embedDim, numbers)),
          labels: hostTensor(
            "i32",
            [batch],
            numbers.map((number) => labels[number] ?? 0),
          ),
        },
        learningRate({ kind: "cosine", warmup: perEpoch }, rate, step, epochs * perEpoch),
      );
      const epoch = (step + 1) / perEpoch;
      if (!Number.isInteger(epoch) || (epoch % every > 0 && epoch < epochs)) continue;
      await onEpoch(epoch, Float32Array.from((await classifier({ tokens: table.tokens })).classifier?.data ?? []));
    }
  } finally {
    await descent.close();
  }
}

/** The learned vectors as they start, and what stays: the embeddings that occur and the rest of the tower. */
async function embeddings(weights: HostTensors, { used, vectors }: PromptTable, seed: number) {
  const { "token_embedding.weight": all, ...tower } = weights;
  const width = all?.shape[1] ?? 0;
  const words = gathered(Float32Array.from(all?.data ?? []), width, used);
  // As large as words are: a tower that was trained longer has other ones than the paper's 0.02.
  const deviation = Math.sqrt(words.reduce((sum, x) => sum + x * x, 0) / words.length);
  const normal = normalStream(uniformStream(seed, "context"));
  const context = Float32Array.from({ length: vectors * width }, () => normal() * deviation);
  return {
    trained: { context: hostTensor("f32", [vectors, width], context) },
    held: { ...tower, words: hostTensor("f32", [used.length, width], words) },
  };
}
