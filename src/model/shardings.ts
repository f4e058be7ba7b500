/** How a model is spread over a mesh: one table by parameter name, from which everything else follows. */
import { axisSize, elements, type Mesh, type MeshAxis, type Sharding, WHOLE } from "../graph/index.ts";
import type { ClipConfig } from "./config.ts";
import { parameterShapes } from "./shapes.ts";

/** Of one parameter. */
export interface Placement {
  /** How it is kept between steps, and its moments with it. */
  readonly kept: Sharding;
  /** How layers take it: what is kept over `data` is gathered first. */
  readonly used: Sharding;
}

export interface PlacementOptions {
  /** Keeps large parameters and their moments in pieces over `data`, too (as ZeRO does, arXiv 1910.02054). @default false */
  readonly fsdp?: boolean;
}

type Split = Pick<Placement, "kept" | "used">;
const rows: Split = { kept: [["model"]], used: [["model"]] };
const columns: Split = { kept: [[], ["model"]], used: [[], ["model"]] };

/**
 * What is split over `model`; the first line that fits counts, everything else is whole. Pairs of layers, as Megatron-LM splits them
 * (Shoeybi et al., arXiv 1909.08053, section 3): the first by its outputs [out, in], the second by its inputs, so that what lies between
 * them (hidden units of an MLP, heads of an attention) is never put together, and one sum of activations follows each pair.
 */
const OVER_MODEL: readonly (readonly [name: RegExp, split: Split])[] = [
  [/\.mlp\.c_fc\.weight$/, rows],
  [/\.mlp\.c_proj\.weight$/, columns],
  [/\.attn\.out_proj\.weight$/, columns],
  // The published layout stacks queries, keys and values [3 width, width]: a part of its rows is no share of each one's heads. So it is kept in
  // pieces and put together where it is used; each device then computes its own heads' part of all three, as out_proj asks of it.
  [/\.attn\.in_proj_weight$/, { kept: [["model"]], used: WHOLE }],
  [/^visual\.attnpool\.[qkv]_proj\.weight$/, rows],
  [/^visual\.attnpool\.c_proj\.weight$/, columns],
];

/** Parameters with fewer elements are kept whole: the messages cost more than the memory, and the optimiser packs them in one vector. */
const WHOLE_BELOW = 16_384;

/**
 * Where every parameter of a model is on a mesh.
 * @throws one line if the heads, or a layer that is split, do not divide among the devices of `model`
 */
export function placements(
  config: ClipConfig,
  mesh: Mesh,
  { fsdp = false }: PlacementOptions = {},
): Readonly<Record<string, Placement>> {
  const model = axisSize(mesh, "model");
  const { vision, text } = config;
  for (const [tower, heads] of [
    ["vision", vision.heads],
    ["text", text.heads],
  ] as const)
    if (heads % model !== 0)
      throw new Error(`mesh: model=${model} does not divide the ${heads} heads of the ${tower} tower`);
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => [
      name,
      placementOf(name, shape, model, fsdp ? axisSize(mesh, "data") : 1),
    ]),
  );
}

function placementOf(name: string, shape: readonly number[], model: number, data: number): Placement {
  const split = model > 1 ? OVER_MODEL.find(([pattern]) => pattern.test(name))?.[1] : undefined;
  const { kept, used } = split ?? { kept: WHOLE, used: WHOLE };
  for (const [axis, axes] of kept.entries())
    if (axes.length > 0 && (shape[axis] ?? 0) % model !== 0)
      throw new Error(`mesh: model=${model} does not divide axis ${axis} of ${name} [${shape}]`);
  if (elements(shape) < WHOLE_BELOW) return { kept: WHOLE, used };
  if (data === 1) return { kept, used };
  // An axis of its own where there is one, else the one that is split already: what is gathered over data is then the same box.
  const free = shape.findIndex((size, axis) => size % data === 0 && (kept[axis] ?? []).length === 0);
  const axis = free >= 0 ? free : shape.findIndex((size) => size % (data * model) === 0);
  if (axis < 0) return { kept, used };
  const over = (i: number): readonly MeshAxis[] => (i === axis ? [...(kept[i] ?? []), "data"] : (kept[i] ?? []));
  const last = Math.max(kept.length - 1, axis);
  return { kept: Array.from({ length: last + 1 }, (_, i) => over(i)), used };
}
