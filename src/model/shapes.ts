/** Every tensor of a model: its published name and its shape. */
import {
  type ClipConfig,
  type Projection,
  type ResNetConfig,
  type WholeText,
  type WholeVision,
  wholeText,
  wholeVision,
} from "./config.ts";

export type Shapes = Readonly<Record<string, readonly number[]>>;
type Entry = readonly [name: string, shape: readonly number[]];

/** All learned tensors, in the order of the official checkpoints. Linear weights are [out, in], kernels [out, in, kh, kw]. */
export function parameterShapes(config: ClipConfig): Shapes {
  const { embedDim, imageSize, vision } = config;
  const text = wholeText(config);
  return Object.fromEntries<readonly number[]>([
    ["positional_embedding", [text.contextLength, text.width]],
    ...projection("text_projection", text.width, embedDim, text.projection),
    ["logit_scale", []],
    ...(config.logitBias ? [["logit_bias", []] as const] : []),
    ...(vision.kind === "vit"
      ? visionTransformer(wholeVision(vision, config), embedDim)
      : modifiedResNet(vision, imageSize, embedDim)),
    ...transformer("transformer", text),
    ["token_embedding.weight", [text.vocabSize, text.width]],
    ...norm("ln_final", text.width),
  ]);
}

/** The running statistics of a ResNet's batch normalisations; nothing for a vision transformer. */
export function bufferShapes({ vision }: ClipConfig): Shapes {
  if (vision.kind === "vit") return {};
  return Object.fromEntries<readonly number[]>(
    resNetNorms(vision).flatMap(([name, channels]): Entry[] => [
      [`${name}.running_mean`, [channels]],
      [`${name}.running_var`, [channels]],
    ]),
  );
}

/**
 * Whether weight decay applies: to everything that is not a gain, a bias or the temperature (CLIP, section 2.5).
 * As the published training code decides it, which also leaves out the class embedding, a vector.
 */
export function decays(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && !/bn|ln|bias|logit_scale/.test(name);
}

function norm(name: string, width: number): Entry[] {
  return [
    [`${name}.weight`, [width]],
    [`${name}.bias`, [width]],
  ];
}

function dense(name: string, into: number, out: number): Entry[] {
  return [
    [`${name}.weight`, [out, into]],
    [`${name}.bias`, [out]],
  ];
}

function projection(name: string, width: number, embedDim: number, kind: Projection): Entry[] {
  if (kind === "none") return [];
  return kind === "matrix" ? [[name, [width, embedDim]]] : dense(name, width, embedDim);
}

function transformer(
  name: string,
  { width, layers, mlpWidth }: Pick<WholeText, "width" | "layers" | "mlpWidth">,
): Entry[] {
  return Array.from({ length: layers }, (_, layer) => {
    const block = `${name}.resblocks.${layer}`;
    return [
      [`${block}.attn.in_proj_weight`, [3 * width, width]],
      [`${block}.attn.in_proj_bias`, [3 * width]],
      ...dense(`${block}.attn.out_proj`, width, width),
      ...norm(`${block}.ln_1`, width),
      ...dense(`${block}.mlp.c_fc`, width, mlpWidth),
      ...dense(`${block}.mlp.c_proj`, mlpWidth, width),
      ...norm(`${block}.ln_2`, width),
    ] as Entry[];
  }).flat();
}

function visionTransformer(vision: WholeVision, embedDim: number): Entry[] {
  const { width, patchSize, patchBias, classToken, preNorm, pool, grid } = vision;
  const pooledWidth = pool === "attentional" ? embedDim : width;
  return [
    ...(classToken ? [["visual.class_embedding", [width]] as const] : []),
    ["visual.positional_embedding", [grid ** 2 + (classToken ? 1 : 0), width]],
    ...projection("visual.proj", pooledWidth, embedDim, vision.projection),
    ["visual.conv1.weight", [width, 3, patchSize, patchSize]],
    ...(patchBias ? [["visual.conv1.bias", [width]] as const] : []),
    ...(preNorm ? norm("visual.ln_pre", width) : []),
    ...transformer("visual.transformer", vision),
    ...(pool === "map" ? mapHead("visual.attn_pool", vision) : []),
    ...(pool === "attentional" ? attentionalPooler("visual.attn_pool", vision, embedDim) : []),
    ...norm("visual.ln_post", pooledWidth),
  ];
}

/** Names of timm's `AttentionPoolLatent`, which open_clip's SigLIP has below `visual.trunk`. */
function mapHead(name: string, { width, mlpWidth }: WholeVision): Entry[] {
  return [
    [`${name}.latent`, [1, 1, width]],
    ...dense(`${name}.q`, width, width),
    ...dense(`${name}.kv`, width, 2 * width),
    ...dense(`${name}.proj`, width, width),
    ...norm(`${name}.norm`, width),
    ...dense(`${name}.mlp.fc1`, width, mlpWidth),
    ...dense(`${name}.mlp.fc2`, mlpWidth, width),
  ];
}

/** Names of open_clip's `AttentionalPooler`. */
function attentionalPooler(name: string, { width, poolQueries }: WholeVision, embedDim: number): Entry[] {
  const matrices: Entry[] =
    width === embedDim
      ? [[`${name}.attn.in_proj_weight`, [3 * width, width]]]
      : [
          [`${name}.attn.q_proj_weight`, [embedDim, embedDim]],
          [`${name}.attn.k_proj_weight`, [embedDim, width]],
          [`${name}.attn.v_proj_weight`, [embedDim, width]],
        ];
  return [
    [`${name}.query`, [poolQueries, embedDim]],
    ...matrices,
    [`${name}.attn.in_proj_bias`, [3 * embedDim]],
    ...dense(`${name}.attn.out_proj`, embedDim, embedDim),
    ...norm(`${name}.ln_q`, embedDim),
    ...norm(`${name}.ln_k`, width),
  ];
}

/** A bottleneck of a stage: its name in the image tower and what goes in and out. */
export interface Bottleneck {
  readonly name: string;
  readonly into: number;
  /** Channels inside; four times as many come out. */
  readonly planes: number;
  readonly stride: 1 | 2;
  /** Whether the shortcut has a convolution of its own. */
  readonly downsample: boolean;
}

/** The bottlenecks of each of the four stages; the first of a stage changes the width and, from the second on, the size. */
export function bottlenecks({ width, layers }: ResNetConfig): Bottleneck[][] {
  return layers.map((blocks, stage) =>
    Array.from({ length: blocks }, (_, block): Bottleneck => {
      const planes = width * 2 ** stage;
      const first = block === 0;
      const into = !first ? planes * 4 : stage === 0 ? width : planes * 2;
      return {
        name: `layer${stage + 1}.${block}`,
        into,
        planes,
        stride: first && stage > 0 ? 2 : 1,
        downsample: first,
      };
    }),
  );
}

/** All convolutions with the batch normalisation that follows each. */
function convolutions(config: ResNetConfig): { name: string; norm: string; shape: readonly number[] }[] {
  const half = config.width / 2;
  const stem = [
    { name: "conv1", norm: "bn1", shape: [half, 3, 3, 3] },
    { name: "conv2", norm: "bn2", shape: [half, half, 3, 3] },
    { name: "conv3", norm: "bn3", shape: [config.width, half, 3, 3] },
  ];
  const blocks = bottlenecks(config)
    .flat()
    .flatMap(({ name, into, planes, downsample }) => [
      { name: `${name}.conv1`, norm: `${name}.bn1`, shape: [planes, into, 1, 1] },
      { name: `${name}.conv2`, norm: `${name}.bn2`, shape: [planes, planes, 3, 3] },
      { name: `${name}.conv3`, norm: `${name}.bn3`, shape: [planes * 4, planes, 1, 1] },
      // "downsample.-1" is the average pool, which has no weights.
      ...(downsample
        ? [{ name: `${name}.downsample.0`, norm: `${name}.downsample.1`, shape: [planes * 4, into, 1, 1] }]
        : []),
    ]);
  return [...stem, ...blocks];
}

const resNetNorms = (config: ResNetConfig): [name: string, channels: number][] =>
  convolutions(config).map(({ norm, shape }) => [`visual.${norm}`, shape[0] ?? 0]);

function modifiedResNet(config: ResNetConfig, imageSize: number, embedDim: number): Entry[] {
  const features = config.width * 32;
  return [
    ...convolutions(config).flatMap(({ name, norm: bn, shape }): Entry[] => [
      [`visual.${name}.weight`, shape],
      ...norm(`visual.${bn}`, shape[0] ?? 0),
    ]),
    ["visual.attnpool.positional_embedding", [(imageSize / 32) ** 2 + 1, features]],
    ...dense("visual.attnpool.k_proj", features, features),
    ...dense("visual.attnpool.q_proj", features, features),
    ...dense("visual.attnpool.v_proj", features, features),
    ...dense("visual.attnpool.c_proj", features, embedDim),
  ];
}
