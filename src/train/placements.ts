/** Where everything that training keeps and is fed stands on a mesh; all of it follows from the parameters' placements. */
import type { Shardings } from "../engine/engine.ts";
import { type Mesh, type Sharding, sameShape, WHOLE } from "../graph/index.ts";
import { bufferShapes, type ClipConfig, type Placement, placements } from "../model/index.ts";
import { type Group, gradientName, momentNames } from "./optimizer.ts";

export interface TrainingPlacements {
  readonly parameters: Readonly<Record<string, Placement>>;
  /** Of the entries of the training state and of every input of its programs. */
  readonly shardings: Shardings;
}

/** Inputs whose first axis is that of the batch, or of its parts. */
const BY_ROWS = ["images", "tokens", "patches", "rows", "places", "imageSlopes", "textSlopes"] as const;

/** @throws one line if the model or the batch does not divide among the devices */
export function trainingPlacements(
  config: ClipConfig,
  groups: readonly Group[],
  mesh: Mesh,
  fsdp: boolean,
): TrainingPlacements {
  const parameters = placements(config, mesh, { fsdp });
  const shardings: Record<string, Sharding> = {};
  for (const [name, { kept }] of Object.entries(parameters)) {
    shardings[name] = kept;
    shardings[gradientName(name)] = kept;
  }
  for (const name of Object.keys(bufferShapes(config))) shardings[name] = WHOLE;
  for (const group of groups) for (const name of momentNames(group)) shardings[name] = ofGroup(group, parameters);
  for (const name of BY_ROWS) shardings[name] = [["data"]];
  return { parameters, shardings };
}

/** Moments of one large parameter lie as it does; those of many small ones, which are one vector, are whole. */
function ofGroup({ members, shape }: Group, parameters: TrainingPlacements["parameters"]): Sharding {
  const [only, another] = members;
  const kept = (only && parameters[only.name]?.kept) ?? WHOLE;
  if (!only || another) return WHOLE;
  if (sameShape(only.shape, shape)) return kept;
  // Laid flat: rows stay together, columns do not.
  return kept.slice(1).some((axes) => axes.length > 0) ? WHOLE : kept.slice(0, 1);
}
