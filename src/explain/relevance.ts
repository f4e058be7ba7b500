/** What of a picture a score comes from, as graphs. */
import {
  add,
  constant,
  gradients,
  matmul,
  max,
  mul,
  plainAttention,
  reduceMean,
  reduceSum,
  reshape,
  sliceAxis,
  sub,
  type Tensor,
} from "../graph/index.ts";
import { type ClipConfig, type Encoded, type WholeVision, wholeVision } from "../model/index.ts";

/** Attention relevance for vision transformers, Grad-CAM for ResNets. */
export type ExplainMethod = "attention" | "grad-cam";

export const methodOf = ({ vision }: Pick<ClipConfig, "vision">): ExplainMethod =>
  vision.kind === "vit" ? "attention" : "grad-cam";

/**
 * How much each place of the picture raises a score.
 * @param encoded the image tower of one picture, with whole blocks
 * @param scoreOf of its features [1, embedDim], a scalar
 * @returns [rows, columns] of patches or of the last stage's positions, none below 0
 */
export function relevance(encoded: Encoded, config: ClipConfig, scoreOf: (features: Tensor) => Tensor): Tensor {
  return config.vision.kind === "vit"
    ? attentionRelevance(encoded.features, config, scoreOf)
    : gradCam(encoded, scoreOf);
}

/**
 * Chefer, Gur and Wolf 2021 (arXiv 2103.15679), equations 5 and 6: with A the probabilities of a block's attention,
 * A' = mean over heads of max(0, dscore/dA * A), and R = R + A' R from the identity on. Wanted is one row of R, that of what
 * the features are read from, so it goes through the blocks backwards: r = r + r A'.
 */
function attentionRelevance(features: Tensor, config: ClipConfig, scoreOf: (features: Tensor) => Tensor): Tensor {
  const { vision } = config;
  if (vision.kind !== "vit") throw new Error("attentionRelevance: expected a vision transformer");
  const { pool, classToken, grid } = wholeVision(vision, config);
  const { root, softmaxes } = plainAttention(features);
  const slopes = gradients(scoreOf(root), softmaxes, { total: true });
  const weighted = softmaxes.map((probabilities, i) => {
    const [, , queries = 0, keys = 0] = probabilities.shape; // [1, heads, queries, keys]
    const slope = slopes[i];
    if (!slope) throw new Error("attentionRelevance: a gradient is missing");
    return reshape(reduceMean(max(mul(slope, probabilities), 0), [1]), [queries, keys]);
  });

  const patches = grid * grid;
  const tokens = patches + (classToken ? 1 : 0);
  const last = weighted.pop();
  if (!last) throw new Error("attentionRelevance: there is no attention");
  const start = startingRow(pool, classToken, tokens);
  let row = start ? add(start, matmul(start, last)) : sliceAxis(last, 0, 0, 1);
  for (const block of weighted.reverse()) row = add(row, matmul(row, block));
  const raised = start ? sub(row, start) : row;
  return reshape(classToken ? sliceAxis(raised, 1, 1, tokens) : raised, [grid, grid]);
}

/** The identity's row of what features are read from, [1, tokens]; none of a learned query, which is no token. */
function startingRow(pool: WholeVision["pool"], classToken: boolean, tokens: number): Tensor | undefined {
  if (pool !== "class" && pool !== "average") return undefined;
  const first = classToken ? 1 : 0;
  const row = Float32Array.from({ length: tokens }, (_, i) =>
    pool === "class" ? (i === 0 ? 1 : 0) : i < first ? 0 : 1 / (tokens - first),
  );
  return constant(row, "f32", [1, tokens]);
}

/**
 * Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2, on the last stage: its channels, each weighed by the mean of the
 * score's gradient to it, added up; what lowers the score is left out.
 */
function gradCam({ features, activations }: Encoded, scoreOf: (features: Tensor) => Tensor): Tensor {
  const stage = activations["visual.layer4"]; // [1, rows, columns, channels]
  if (!stage) throw new Error("gradCam: expected the last stage of a ResNet");
  const [slope] = gradients(scoreOf(features), [stage]);
  if (!slope) throw new Error("gradCam: a gradient is missing");
  const weights = reduceMean(slope, [1, 2], true);
  return reshape(max(reduceSum(mul(stage, weights), [3]), 0), stage.shape.slice(1, 3));
}
