import {
  add,
  concat,
  div,
  dot,
  elements,
  type HostTensor,
  hostArray,
  max,
  min,
  mul,
  reduceSum,
  reshape,
  sliceAxis,
  sqrt,
  sub,
  type Tensor,
  type TensorType,
} from "../graph/index.ts";

/** AdamW (Loshchilov and Hutter, arXiv 1711.05101), as CLIP was trained with it. */
export interface AdamW {
  readonly beta1: number;
  /** 0.98 for vision transformers, 0.999 for ResNets (paper, tables 19 and 20). */
  readonly beta2: number;
  /** 1e-6 for vision transformers, 1e-8 for ResNets. */
  readonly epsilon: number;
  /** Decoupled, on weights only: no gain, no bias, no logit scale. */
  readonly weightDecay: number;
  /** Gradients are scaled so that their norm over all parameters stays below this. @default no limit */
  readonly maxNorm?: number;
}

/** Whether weight decay applies to a parameter. */
export type Decays = (name: string, shape: readonly number[]) => boolean;

/**
 * Parameters that are updated together. onnxruntime fuses no element-wise work, so a hundred gains and biases cost a
 * thousand tiny kernels; concatenated they cost a dozen. Large ones stay apart: copying them would cost more.
 */
export interface Group {
  readonly name: string;
  readonly decayed: boolean;
  readonly members: readonly { readonly name: string; readonly shape: readonly number[]; readonly offset: number }[];
  readonly length: number;
  /** In which its members are updated, and its moments kept: that of the only member, or flat. */
  readonly shape: readonly number[];
}

/** Elements from which a parameter is updated by itself. */
const ALONE = 16_384;

const MOMENTS = ["moment1", "moment2"] as const;
type Named<T> = Readonly<Record<string, T>>;

/** How parameters of these shapes are grouped; the same for every run of a model. */
export function groupParameters(shapes: Named<readonly number[]>, decays: Decays): readonly Group[] {
  const large: Group[] = [];
  const small = { decayed: [] as string[], plain: [] as string[] };
  for (const [name, shape] of Object.entries(shapes)) {
    const decayed = decays(name, shape);
    if (elements(shape) >= ALONE) large.push(groupOf(name, decayed, [name], shapes));
    else small[decayed ? "decayed" : "plain"].push(name);
  }
  const packed = [groupOf("small decayed", true, small.decayed, shapes), groupOf("small", false, small.plain, shapes)];
  return [...large, ...packed.filter(({ length }) => length > 0)];
}

function groupOf(name: string, decayed: boolean, names: readonly string[], shapes: Named<readonly number[]>): Group {
  let length = 0;
  const members = names.map((member) => {
    const shape = shapes[member] ?? [];
    const offset = length;
    length += elements(shape);
    return { name: member, shape, offset };
  });
  const [only, another] = members;
  // onnxruntime walks a shape that ends in ones element by element (measured: 30 times slower).
  const shape = only && !another && only.shape.at(-1) !== 1 ? only.shape : [length];
  return { name, decayed, members, length, shape };
}

/** Under which the training state holds a group's moments. */
export const momentNames = ({ name }: Group): string[] => MOMENTS.map((moment) => `${moment}.${name}`);

/** Under which it holds the sum of a parameter's gradients. */
export const gradientName = (parameter: string): string => `gradient.${parameter}`;

/** Types of the moments, under the names in which the training state holds them: in the groups' shapes. */
export function momentTypes(groups: readonly Group[], dtype: "f32" | "f64" = "f32"): Record<string, TensorType> {
  return Object.fromEntries(
    groups.flatMap(({ name, shape }) => MOMENTS.map((moment) => [`${moment}.${name}`, { dtype, shape }])),
  );
}

/** Zero moments. */
export function initialMoments(groups: readonly Group[], dtype: "f32" | "f64" = "f32"): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(momentTypes(groups, dtype)).map(([name, type]) => [
      name,
      { ...type, data: hostArray(dtype, elements(type.shape)) },
    ]),
  );
}

/** Moments as checkpoints hold them: one tensor a parameter, however they are grouped. */
export function unpackMoments(groups: readonly Group[], state: Named<HostTensor>): Record<string, HostTensor> {
  const entries = groups.flatMap((group) =>
    MOMENTS.flatMap((moment) => {
      const packed = state[`${moment}.${group.name}`];
      if (!packed) throw new Error(`optimizer: the state has no ${moment}.${group.name}`);
      return group.members.map(({ name, shape, offset }) => {
        const data = packed.data.subarray(offset, offset + elements(shape));
        return [`${moment}.${name}`, { dtype: packed.dtype, shape, data }] as const;
      });
    }),
  );
  return Object.fromEntries(entries);
}

/**
 * The numbers of one update, worked out in double precision outside the graph and fed as scalars.
 * The moments are kept as sums, `M = beta M + g` and `V = beta V + g^2`, which saves two multiplications an element;
 * Adam's own are (1 - beta) times these, so that its step
 * `rate (m / c1) / (sqrt(v / c2) + epsilon)`, with c = 1 - beta^step, becomes `size M / (sqrt(V) + floor)`.
 */
export interface UpdateScalars {
  readonly size: number;
  readonly floor: number;
  /** What decayed parameters are multiplied by. */
  readonly keep: number;
}

/** @param step updates done before this one */
export function updateScalars(adam: AdamW, learningRate: number, step: number): UpdateScalars {
  const correction1 = 1 - adam.beta1 ** (step + 1);
  const correction2 = 1 - adam.beta2 ** (step + 1);
  const scale = Math.sqrt(correction2 / (1 - adam.beta2));
  return {
    size: ((learningRate * (1 - adam.beta1)) / correction1) * scale,
    floor: adam.epsilon * scale,
    keep: 1 - learningRate * adam.weightDecay,
  };
}

export function updateSignature(dtype: "f32" | "f64"): Record<keyof UpdateScalars, TensorType> {
  const scalar: TensorType = { dtype, shape: [] };
  return { size: scalar, floor: scalar, keep: scalar };
}

export interface Updated {
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly moments: Readonly<Record<string, Tensor>>;
  /** L2 norm of all gradients, before it was limited. */
  readonly norm: Tensor;
  /** Squared norm of each parameter's gradient, in the order of `parameters`: says which one is not finite. */
  readonly squares: Tensor;
}

/** One step of AdamW; everything is a tensor of the graph. */
export function update(
  adam: AdamW,
  groups: readonly Group[],
  parameters: Named<Tensor>,
  gradients: Named<Tensor>,
  moments: Named<Tensor>,
  scalars: Readonly<Record<keyof UpdateScalars, Tensor>>,
): Updated {
  const of = (from: Named<Tensor>, name: string): Tensor => {
    const found = from[name];
    if (!found) throw new Error(`optimizer: ${name} is missing`);
    return found;
  };
  const squares = concat(
    Object.keys(parameters).map((name) => reshape(squaredNorm(of(gradients, name)), [1])),
    0,
  );
  const norm = sqrt(reduceSum(squares));
  const limit = adam.maxNorm === undefined ? undefined : min(div(adam.maxNorm, add(norm, 1e-6)), 1);

  const updated: Record<string, Tensor> = {};
  const nextMoments: Record<string, Tensor> = {};
  for (const group of groups) {
    const gathered = (from: Named<Tensor>): Tensor => packedTensor(group, (name) => of(from, name));
    const value = gathered(parameters);
    const raw = gathered(gradients);
    const gradient = limit ? mul(raw, limit) : raw;
    const first = add(mul(of(moments, `moment1.${group.name}`), adam.beta1), gradient);
    const second = add(mul(of(moments, `moment2.${group.name}`), adam.beta2), mul(gradient, gradient));
    const step = mul(div(first, add(sqrt(second), scalars.floor)), scalars.size);
    const next = sub(group.decayed ? mul(value, scalars.keep) : value, step);
    nextMoments[`moment1.${group.name}`] = first;
    nextMoments[`moment2.${group.name}`] = second;
    for (const { name, shape, offset } of group.members)
      updated[name] =
        group.members.length === 1
          ? reshape(next, shape)
          : reshape(sliceAxis(next, 0, offset, offset + elements(shape)), shape);
  }
  const ordered = Object.fromEntries(Object.keys(parameters).map((name) => [name, of(updated, name)]));
  return { parameters: ordered, moments: nextMoments, norm, squares };
}

function packedTensor({ members, shape }: Group, tensor: (name: string) => Tensor): Tensor {
  const [only, another] = members;
  if (only && !another) return reshape(tensor(only.name), shape);
  return concat(
    members.map((member) => reshape(tensor(member.name), [elements(member.shape)])),
    0,
  );
}

/** One pass over the elements, where square and sum would be two and a temporary tensor; in their shape, which may be split over a mesh. */
function squaredNorm(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return dot(x, x, { batch: [[], []], contract: [axes, axes] });
}

/** ln 100: logits are never scaled by more than 100 (paper, section 2.5). */
export const MAX_LOGIT_SCALE = Math.log(100);

/** The logit scale as it is kept after each update. */
export function clampLogitScale(logitScale: Tensor): Tensor {
  return min(max(logitScale, 0), MAX_LOGIT_SCALE);
}
