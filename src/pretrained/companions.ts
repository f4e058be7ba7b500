/** What belongs to the weights in a clip-ts model file besides the configuration: preprocessing, prompts, tokenizer. */
import { z } from "zod";
import { readMetadata } from "../checkpoint/index.ts";
import type { PreprocessConfig } from "../image/index.ts";
import { type Tokenizer, tokenizerFromJson } from "../tokenizer/index.ts";

/** The key in the metadata. */
const COMPANIONS_KEY = "clip-ts.companions";

export interface Companions {
  readonly preprocess: PreprocessConfig;
  readonly templates: readonly string[];
  /** Undefined for the official one, and for those that are not byte-pair encodings. */
  readonly tokenizer?: Tokenizer;
}

const triple = z.tuple([z.number(), z.number(), z.number()]);
const schema = z.object({
  preprocess: z.strictObject({
    size: z.int().positive().max(65_536),
    resize: z.enum(["shortest", "squash", "longest"]),
    interpolation: z.enum(["bicubic", "bilinear"]),
    mean: triple,
    deviation: triple.refine((all) => all.every((x) => x > 0), "expected numbers above 0"),
    fill: z.int().min(0).max(255),
    background: z.int().min(0).max(255).exactOptional(),
  }),
  templates: z.array(z.string().includes("{}")).min(1),
  tokenizer: z.unknown().optional(),
});

/** As metadata for `readCompanions`. */
export function writeCompanions({ preprocess, templates, tokenizer }: Companions): Record<string, string> {
  const json = { preprocess, templates, ...(tokenizer && { tokenizer: tokenizer.toJSON() }) };
  return { [COMPANIONS_KEY]: JSON.stringify(json) };
}

/** @throws one line, without the file's name, that names what is wrong; undefined if the file has none */
export const readCompanions = (metadata: ReadonlyMap<string, string>): Companions | undefined =>
  readMetadata(metadata, COMPANIONS_KEY, schema, ({ preprocess, templates, tokenizer }) => ({
    ...{ preprocess, templates },
    ...(tokenizer !== undefined && { tokenizer: tokenizerFromJson(tokenizer) }),
  }));
