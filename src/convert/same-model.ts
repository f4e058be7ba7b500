import { type ClipConfig, wholeText, wholeVision } from "../model/index.ts";

/** Where two configurations are not the same model, their defaults filled in; undefined if they are. */
export function sameModel(wanted: ClipConfig, got: ClipConfig): string | undefined {
  const [a, b] = [fields(wanted), fields(got)];
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const [expected, found] = [JSON.stringify(a[name]), JSON.stringify(b[name])];
    if (expected !== found) return `${name} is ${expected ?? "absent"}, only ${found ?? "none"} can be said`;
  }
  return undefined;
}

function fields(config: ClipConfig): Readonly<Record<string, unknown>> {
  const { embedDim, imageSize, vision, logitBias = false } = config;
  const named = (tower: string, values: object): [string, unknown][] =>
    Object.entries(values).map(([name, value]) => [`${tower}.${name}`, value]);
  const image = vision.kind === "vit" ? withoutUnused(wholeVision(vision, config)) : { ...vision };
  return Object.fromEntries([
    ["embedDim", embedDim],
    ["imageSize", imageSize],
    ["logitBias", logitBias],
    ...(vision.kind === "resnet" ? [["activation", "relu"]] : []),
    ...named("vision", image),
    ...named("text", wholeText(config)),
  ]);
}

/** What a pooling does not use says nothing. */
function withoutUnused({ poolHeads, poolQueries, normAfterPool, ...rest }: ReturnType<typeof wholeVision>): object {
  if (rest.pool === "attentional") return { ...rest, poolHeads, poolQueries };
  // A norm of the class token alone is the same before and after it is taken.
  return rest.pool === "average" ? { ...rest, normAfterPool } : rest;
}
