/** What the two encoders are trained to minimise. */
import {
  abs,
  add,
  compare,
  crossEntropy,
  dot,
  exp,
  iota,
  l2Normalize,
  log,
  min,
  mul,
  neg,
  reduceSum,
  reshape,
  select,
  sub,
  type Tensor,
  transpose,
} from "../graph/index.ts";

/** exp(logitScale) times the cosine of every image with every text: [images, texts]. */
export function similarityLogits(imageFeatures: Tensor, textFeatures: Tensor, logitScale: Tensor): Tensor {
  const cosines = dot(l2Normalize(imageFeatures), l2Normalize(textFeatures), {
    batch: [[], []],
    contract: [[1], [1]],
    // The scale makes of a cosine's rounding a hundred times that in a logit.
    exact: true,
  });
  return mul(cosines, exp(logitScale));
}

/**
 * The contrastive loss (CLIP, figure 3): image i belongs to text i; the mean of the cross entropies over texts and over images.
 * @param imageFeatures [n, embedDim], not normalised
 * @param textFeatures [n, embedDim], not normalised
 * @param logitScale scalar: the logarithm of the inverse temperature
 * @returns the scalar loss and the logits [n, n] (images by texts)
 */
export function contrastiveLoss(
  imageFeatures: Tensor,
  textFeatures: Tensor,
  logitScale: Tensor,
): { loss: Tensor; logits: Tensor } {
  const logits = similarityLogits(imageFeatures, textFeatures, logitScale);
  return { loss: symmetricCrossEntropy(logits), logits };
}

/** Mean of the cross entropies of the rows and of the columns of logits [n, n], the diagonal being right. */
export function symmetricCrossEntropy(logits: Tensor): Tensor {
  const [rows = 0, columns] = logits.shape;
  if (rows !== columns)
    throw new Error(`symmetricCrossEntropy: expected as many images as texts, got [${logits.shape}]`);
  const diagonal = iota("i32", [rows], 0);
  return mul(add(crossEntropy(logits, diagonal), crossEntropy(transpose(logits, [1, 0]), diagonal)), 0.5);
}

/**
 * SigLIP's loss (Zhai et al. 2023, arXiv 2303.15343, algorithm 1): every pair is a yes-or-no question of its own.
 * -1/n * sum over all pairs of log sigmoid(z * logit), z = 1 on the diagonal, else -1.
 * @param logitScale scalar: the logarithm of the inverse temperature (initially ln 10)
 * @param logitBias scalar (initially -10)
 */
export function sigmoidLoss(
  imageFeatures: Tensor,
  textFeatures: Tensor,
  logitScale: Tensor,
  logitBias: Tensor,
): { loss: Tensor; logits: Tensor } {
  const logits = add(similarityLogits(imageFeatures, textFeatures, logitScale), logitBias);
  const [rows = 0, columns] = logits.shape;
  if (rows !== columns) throw new Error(`sigmoidLoss: expected as many images as texts, got [${logits.shape}]`);
  return { loss: mul(pairwiseLogistic(logits, iota("i32", [rows], 0)), 1 / rows), logits };
}

/** Sum over all pairs of -log sigmoid(z * logit), z = 1 where a text is an image's own. @param own i32 [images]: the text of each image */
export function pairwiseLogistic(logits: Tensor, own: Tensor): Tensor {
  const [images = 0, texts = 0] = logits.shape;
  const matching = compare(reshape(own, [images, 1]), "eq", iota("i32", [images, texts], 1));
  const signed = select(matching, logits, neg(logits));
  // log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)): the exponent is never positive, so nothing overflows.
  return reduceSum(sub(log(add(exp(neg(abs(signed))), 1)), min(signed, 0)));
}
