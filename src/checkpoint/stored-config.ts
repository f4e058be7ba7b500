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

const schema = z.strictObject({
  embedDim: size,
  imageSize: size,
  vision: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("vit"), width: size, layers, heads: size, patchSize: size }),
    z.strictObject({
      kind: z.literal("resnet"),
      width: size,
      layers: z.tuple([layers, layers, layers, layers]),
      heads: size,
    }),
  ]),
  text: z.strictObject({ contextLength: size, vocabSize: size, width: size, layers, heads: size }),
  activation: z.enum(["quickGelu", "gelu"]),
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
  const { data, error } = schema.safeParse(json);
  if (!data) return fail(error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`)[0] ?? "wrong");
  try {
    checkConfig(data);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  return data;
}
