/**
 * Strengths of the corruptions, 1 to 5, as published for pictures of three sizes: ImageNet-C (224 pixels), Tiny ImageNet-C (64) and CIFAR-10-C (32);
 * Hendrycks and Dietterich 2019 (arXiv 1903.12261), the parameters being those of its repository, hendrycks/robustness, `make_imagenet_c.py`,
 * `make_tinyimagenet_c.py` and `make_cifar_c.py`. Lengths are in pixels, amplitudes on a scale from 0 to 1.
 */

type Five<T> = readonly [T, T, T, T, T];

export interface SeverityTable {
  /** Side of the pictures that it was made for. */
  readonly side: number;
  /** Standard deviation. */
  readonly gaussianNoise: Five<number>;
  /** Photons of a full pixel. */
  readonly shotNoise: Five<number>;
  /** Share of the values that become black or white. */
  readonly impulseNoise: Five<number>;
  /** Radius of the disk, deviation of the blur that smooths its edge. */
  readonly defocusBlur: Five<readonly [radius: number, alias: number]>;
  readonly glassBlur: Five<readonly [deviation: number, reach: number, rounds: number]>;
  readonly motionBlur: Five<readonly [radius: number, deviation: number]>;
  /** Zoom factors from 1: numpy's `arange(1, stop, step)`. */
  readonly zoomBlur: Five<readonly [stop: number, step: number]>;
  readonly snow: Five<
    readonly [
      mean: number,
      deviation: number,
      zoom: number,
      threshold: number,
      radius: number,
      blur: number,
      kept: number,
    ]
  >;
  /** Weights of the picture and of the ice. */
  readonly frost: Five<readonly [picture: number, ice: number]>;
  /** How much fog, and by how much its details are fainter from octave to octave. */
  readonly fog: Five<readonly [amount: number, decay: number]>;
  readonly brightness: Five<number>;
  readonly contrast: Five<number>;
  /** Lengths in sides of the picture: of the displacements, of their smoothness, of the corners' shift. */
  readonly elastic: Five<readonly [displacement: number, smoothness: number, affine: number]>;
  /** Share of the side that is left. */
  readonly pixelate: Five<number>;
  /** JPEG's quality. */
  readonly jpeg: Five<number>;
}

/** The published table takes 244 for the side where 224 is meant. */
const slip = 244 / 224;

const IMAGENET: SeverityTable = {
  side: 224,
  gaussianNoise: [0.08, 0.12, 0.18, 0.26, 0.38],
  shotNoise: [60, 25, 12, 5, 3],
  impulseNoise: [0.03, 0.06, 0.09, 0.17, 0.27],
  defocusBlur: [
    [3, 0.1],
    [4, 0.5],
    [6, 0.5],
    [8, 0.5],
    [10, 0.5],
  ],
  glassBlur: [
    [0.7, 1, 2],
    [0.9, 2, 1],
    [1, 2, 3],
    [1.1, 3, 2],
    [1.5, 4, 2],
  ],
  motionBlur: [
    [10, 3],
    [15, 5],
    [15, 8],
    [15, 12],
    [20, 15],
  ],
  zoomBlur: [
    [1.11, 0.01],
    [1.16, 0.01],
    [1.21, 0.02],
    [1.26, 0.02],
    [1.31, 0.03],
  ],
  snow: [
    [0.1, 0.3, 3, 0.5, 10, 4, 0.8],
    [0.2, 0.3, 2, 0.5, 12, 4, 0.7],
    [0.55, 0.3, 4, 0.9, 12, 8, 0.7],
    [0.55, 0.3, 4.5, 0.85, 12, 8, 0.65],
    [0.55, 0.3, 2.5, 0.85, 12, 12, 0.55],
  ],
  frost: [
    [1, 0.4],
    [0.8, 0.6],
    [0.7, 0.7],
    [0.65, 0.7],
    [0.6, 0.75],
  ],
  fog: [
    [1.5, 2],
    [2, 2],
    [2.5, 1.7],
    [2.5, 1.5],
    [3, 1.4],
  ],
  brightness: [0.1, 0.2, 0.3, 0.4, 0.5],
  contrast: [0.4, 0.3, 0.2, 0.1, 0.05],
  elastic: [
    [2 * slip, 0.7 * slip, 0.1 * slip],
    [2 * slip, 0.08 * slip, 0.2 * slip],
    [0.05 * slip, 0.01 * slip, 0.02 * slip],
    [0.07 * slip, 0.01 * slip, 0.02 * slip],
    [0.12 * slip, 0.01 * slip, 0.02 * slip],
  ],
  pixelate: [0.6, 0.5, 0.4, 0.3, 0.25],
  jpeg: [25, 18, 15, 10, 7],
};

const TINY_IMAGENET: SeverityTable = {
  side: 64,
  gaussianNoise: [0.04, 0.08, 0.12, 0.15, 0.18],
  shotNoise: [250, 100, 50, 30, 15],
  impulseNoise: [0.01, 0.02, 0.05, 0.08, 0.14],
  defocusBlur: [
    [0.5, 0.6],
    [1, 0.1],
    [1.5, 0.1],
    [2.5, 0.01],
    [3, 0.1],
  ],
  glassBlur: [
    [0.1, 1, 1],
    [0.5, 1, 1],
    [0.6, 1, 2],
    [0.7, 2, 1],
    [0.9, 2, 2],
  ],
  motionBlur: [
    [10, 1],
    [10, 1.5],
    [10, 2],
    [10, 2.5],
    [12, 3],
  ],
  zoomBlur: [
    [1.06, 0.01],
    [1.11, 0.01],
    [1.16, 0.01],
    [1.21, 0.01],
    [1.26, 0.01],
  ],
  snow: [
    [0.1, 0.2, 1, 0.6, 8, 3, 0.8],
    [0.1, 0.2, 1, 0.5, 10, 4, 0.8],
    [0.15, 0.3, 1.75, 0.55, 10, 4, 0.7],
    [0.25, 0.3, 2.25, 0.6, 12, 6, 0.65],
    [0.3, 0.3, 1.25, 0.65, 14, 12, 0.6],
  ],
  frost: [
    [1, 0.3],
    [0.9, 0.4],
    [0.8, 0.45],
    [0.75, 0.5],
    [0.7, 0.55],
  ],
  fog: [
    [0.4, 3],
    [0.7, 3],
    [1, 2.5],
    [1.5, 2],
    [2, 1.75],
  ],
  brightness: [0.1, 0.2, 0.3, 0.4, 0.5],
  contrast: [0.4, 0.3, 0.2, 0.1, 0.05],
  elastic: [
    [0, 0, 0.08],
    [0.05, 0.3, 0.06],
    [0.1, 0.08, 0.06],
    [0.1, 0.03, 0.03],
    [0.16, 0.03, 0.02],
  ],
  pixelate: [0.9, 0.8, 0.7, 0.6, 0.5],
  jpeg: [65, 58, 50, 40, 25],
};

const CIFAR: SeverityTable = {
  side: 32,
  gaussianNoise: [0.04, 0.06, 0.08, 0.09, 0.1],
  shotNoise: [500, 250, 100, 75, 50],
  impulseNoise: [0.01, 0.02, 0.03, 0.05, 0.07],
  defocusBlur: [
    [0.3, 0.4],
    [0.4, 0.5],
    [0.5, 0.6],
    [1, 0.2],
    [1.5, 0.1],
  ],
  glassBlur: [
    [0.05, 1, 1],
    [0.25, 1, 1],
    [0.4, 1, 1],
    [0.25, 1, 2],
    [0.4, 1, 2],
  ],
  motionBlur: [
    [6, 1],
    [6, 1.5],
    [6, 2],
    [8, 2],
    [9, 2.5],
  ],
  zoomBlur: [
    [1.06, 0.01],
    [1.11, 0.01],
    [1.16, 0.01],
    [1.21, 0.01],
    [1.26, 0.01],
  ],
  snow: [
    [0.1, 0.2, 1, 0.6, 8, 3, 0.95],
    [0.1, 0.2, 1, 0.5, 10, 4, 0.9],
    [0.15, 0.3, 1.75, 0.55, 10, 4, 0.9],
    [0.25, 0.3, 2.25, 0.6, 12, 6, 0.85],
    [0.3, 0.3, 1.25, 0.65, 14, 12, 0.8],
  ],
  frost: [
    [1, 0.2],
    [1, 0.3],
    [0.9, 0.4],
    [0.85, 0.4],
    [0.75, 0.45],
  ],
  fog: [
    [0.2, 3],
    [0.5, 3],
    [0.75, 2.5],
    [1, 2],
    [1.5, 1.75],
  ],
  brightness: [0.05, 0.1, 0.15, 0.2, 0.3],
  contrast: [0.75, 0.5, 0.4, 0.3, 0.15],
  elastic: [
    [0, 0, 0.08],
    [0.05, 0.2, 0.07],
    [0.08, 0.06, 0.06],
    [0.1, 0.04, 0.05],
    [0.1, 0.03, 0.03],
  ],
  pixelate: [0.95, 0.9, 0.85, 0.75, 0.65],
  jpeg: [80, 65, 58, 50, 40],
};

/** Smallest first. */
const TABLES = [CIFAR, TINY_IMAGENET, IMAGENET] as const;

/** The table whose pictures are nearest in size, by the ratio of the sides. */
export function tableFor(side: number): SeverityTable {
  const far = (table: SeverityTable): number => Math.abs(Math.log(table.side / side));
  return TABLES.reduce((best, table) => (far(table) < far(best) ? table : best));
}

/** The side at which pictures for a model of some resolution are corrupted: they are enlarged afterwards, as those of ImageNet-C are. */
export function corruptedSide(modelSide: number): number {
  return TABLES.find((table) => table.side >= modelSide)?.side ?? IMAGENET.side;
}
