import type { CLIP } from "../clip.ts";
import { decodeImage } from "../image/index.ts";
import type { LongText } from "../tokenizer/index.ts";
import { lineOf } from "./failure.ts";
import type { Entry } from "./feature-file.ts";

export type Kind = "images" | "texts";

export interface EncodeFlags {
  readonly normalize: boolean;
  readonly longText: LongText;
}

/** Features of a batch; if it fails, the inputs that are to blame are left out. */
export async function encoded(
  clip: CLIP,
  kind: Kind,
  names: readonly string[],
  { normalize, longText }: EncodeFlags,
): Promise<Entry[]> {
  const encode = (list: readonly string[]): Promise<Float32Array[]> =>
    kind === "images" ? clip.encodeImage(list, { normalize }) : clip.encodeText(list, { normalize, longText });
  try {
    return entriesOf(names, await encode(names));
  } catch (error) {
    const errors = new Map<string, string>();
    for (const name of names) {
      const wrong = await flawOf(clip, kind, name, longText);
      if (wrong !== undefined) errors.set(name, wrong);
    }
    if (errors.size === 0) throw error;
    const good = names.filter((name) => !errors.has(name));
    const rows = entriesOf(good, good.length > 0 ? await encode(good) : []).values();
    return names.map((name) => {
      const wrong = errors.get(name);
      return wrong === undefined ? (rows.next().value ?? { name, error: "no features" }) : { name, error: wrong };
    });
  }
}

const entriesOf = (names: readonly string[], rows: readonly Float32Array[]): Entry[] =>
  rows.map((features, i) => ({ name: names[i] ?? "", features }));

/** Why an input has no features, if it is by itself that it has none. */
async function flawOf(clip: CLIP, kind: Kind, name: string, longText: LongText): Promise<string | undefined> {
  try {
    if (kind === "images") await decodeImage(name);
    else clip.tokenizer.tokenize(name, { contextLength: clip.config.text.contextLength, longText });
    return undefined;
  } catch (error) {
    return lineOf(error);
  }
}
