/** A model's configuration in a file's metadata: written by us, read from anyone. */
import { z } from "zod";
import { type ClipConfig, checkConfig } from "../model/index.ts";

/** The key in the metadata. */
export const CONFIG_KEY = "clip-ts.config";

/** Generous; a file with a thousand layers more is not believed but costs no memory. */
const layers = z.int().min(1).max(1000);
const size = z
  .int()
  .min(1)
  .max(2 ** 24);

const flag = z.boolean().exactOptional();
const activation = z.enum(["quickGelu", "gelu", "geluTanh"]);
const transformer = {
  width: size,
  layers,
  heads: size,
  mlpWidth: size.exactOptional(),
  activation: activation.exactOptional(),
  epsilon: z.number().positive().lt(1).exactOptional(),
  projection: z.enum(["matrix", "linear", "none"]).exactOptional(),
};

/** The shape of a configuration in JSON; `checkConfig` says whether its sizes fit each other. */
export const clipConfigSchema = z.strictObject({
  embedDim: size,
  imageSize: size,
  vision: z.discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("vit"),
      ...transformer,
      patchSize: size,
      patchBias: flag,
      classToken: flag,
      preNorm: flag,
      pool: z.enum(["class", "average", "map", "attentional"]).exactOptional(),
      normAfterPool: flag,
      poolHeads: size.exactOptional(),
      poolQueries: size.exactOptional(),
    }),
    z.strictObject({
      kind: z.literal("resnet"),
      width: size,
      layers: z.tuple([layers, layers, layers, layers]),
      heads: size,
    }),
  ]),
  text: z.strictObject({
    ...transformer,
    contextLength: size,
    vocabSize: size,
    causal: flag,
    pool: z.enum(["argmax", "eos", "last", "first"]).exactOptional(),
    endOfText: z.int().min(0).exactOptional(),
  }),
  activation,
  logitBias: flag,
}) satisfies z.ZodType<ClipConfig>;

/** The configuration in a file's metadata, if there is one; throws an error of one line if it is none that can be. */
export function storedConfig(metadata: ReadonlyMap<string, string>): ClipConfig | undefined {
  const text = metadata.get(CONFIG_KEY);
  if (text === undefined) return undefined;
  const fail = (what: string): never => {
    throw new Error(`metadata ${CONFIG_KEY}: ${what}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail("not JSON");
  }
  const { data, error } = clipConfigSchema.safeParse(json);
  if (!data) return fail(error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`)[0] ?? "wrong");
  try {
    checkConfig(data);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  return data;
}
