/** A model's configuration in a file's metadata: written by us, read from anyone. */
import { z } from "zod";
import { type ClipConfig, checkConfig } from "../model/index.ts";
import { readMetadata } from "./metadata.ts";

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

/** The configuration in a file's metadata, if there is one. @throws one line if it is none that can be */
export const storedConfig = (metadata: ReadonlyMap<string, string>): ClipConfig | undefined =>
  readMetadata(metadata, CONFIG_KEY, clipConfigSchema, (config) => {
    checkConfig(config);
    return config;
  });
