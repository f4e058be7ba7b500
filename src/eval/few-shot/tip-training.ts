/** Tip-Adapter-F (arXiv 2111.03930, section 3.2): the cache's keys are trained, starting from the examples' features. */
import type { Engine } from "../../engine/engine.ts";
import { add, constant, crossEntropy, exp, hostTensor, matmul, mul, sub, transpose } from "../../graph/index.ts";
import { learningRate } from "../../train/schedule.ts";
import { createDescent } from "../learning/descent.ts";
import { gathered, rowStream } from "../learning/stream.ts";
import { type ExampleCache, TIP_DEFAULT, type TipStrength } from "./tip-adapter.ts";

export interface TipTrainingOptions {
  /** @default 20, the paper's */
  readonly epochs?: number;
  /** @default 1e-3, the paper's; it falls to 0 along a cosine */
  readonly rate?: number;
  readonly strength?: TipStrength;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** Called after each epoch with the keys as they are. */
  readonly onEpoch: (epoch: number, keys: Float32Array) => void | Promise<void>;
}

/** Pictures of a step. */
const BATCH = 256;
/** The official code's, with PyTorch's defaults. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 0.01 };

/**
 * Trains the keys on the examples themselves. The paper learns from augmented pictures of them; features here are computed once, so that
 * each example would find itself in the cache and there would be nothing to learn: it is left out of its own logits.
 * @param zeroShot logits of the examples, [examples, classes]
 */
export async function trainKeys(
  engine: Engine,
  { keys, labels, width, classes }: ExampleCache,
  zeroShot: Float32Array,
  { epochs = 20, rate = 1e-3, strength = TIP_DEFAULT, seed, signal, onEpoch }: TipTrainingOptions,
): Promise<void> {
  const examples = labels.length;
  const batch = Math.min(BATCH, examples);
  const values = new Float32Array(examples * classes);
  for (const [example, label] of labels.entries()) values[example * classes + label] = 1;
  const descent = await createDescent(engine, {
    trained: { keys: hostTensor("f32", [examples, width], keys) },
    held: { values: hostTensor("f32", [examples, classes], values) },
    inputs: {
      features: { dtype: "f32", shape: [batch, width] },
      zeroShot: { dtype: "f32", shape: [batch, classes] },
      labels: { dtype: "i32", shape: [batch] },
      others: { dtype: "f32", shape: [batch, examples] },
    },
    adam: ADAM,
    decays: () => true,
    loss: ({ keys: trained, values: oneHot, features, zeroShot: plain, labels: targets, others }) => {
      if (!trained || !oneHot || !features || !plain || !targets || !others) throw new Error("Tip-Adapter: no inputs");
      const cosines = matmul(features, transpose(trained, [1, 0]));
      const affinities = mul(exp(mul(sub(cosines, 1), constant(strength.beta, "f32"))), others);
      return { loss: crossEntropy(add(plain, mul(matmul(affinities, oneHot), strength.alpha)), targets) };
    },
  });
  try {
    const perEpoch = Math.ceil(examples / batch);
    const rows = rowStream(examples, batch, seed);
    for (let step = 0; step < epochs * perEpoch; step++) {
      signal?.throwIfAborted();
      const numbers = rows(step);
      const others = new Float32Array(batch * examples).fill(1);
      for (const [i, number] of numbers.entries()) others[i * examples + number] = 0;
      await descent.step(
        {
          features: hostTensor("f32", [batch, width], gathered(keys, width, numbers)),
          zeroShot: hostTensor("f32", [batch, classes], gathered(zeroShot, classes, numbers)),
          labels: hostTensor(
            "i32",
            [batch],
            numbers.map((number) => labels[number] ?? 0),
          ),
          others: hostTensor("f32", [batch, examples], others),
        },
        learningRate({ kind: "cosine", warmup: 0 }, rate, step, epochs * perEpoch),
      );
      if ((step + 1) % perEpoch > 0) continue;
      const { keys: trained } = await descent.read();
      await onEpoch((step + 1) / perEpoch, Float32Array.from(trained?.data ?? []));
    }
  } finally {
    await descent.close();
  }
}
