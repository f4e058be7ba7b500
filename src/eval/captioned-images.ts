/** Pictures with captions, for retrieval. */
import { basename } from "node:path";
import type { ImageInput } from "../clip.ts";
import { CLIP_ART_FOLDER, openClipArt, openSource } from "../data/index.ts";
import { contentHash, type HashOptions, hashOf } from "./tasks/content-hash.ts";
import type { LabelledImages } from "./tasks/task.ts";

export interface CaptionedImages {
  /** Its labels say nothing. */
  readonly images: LabelledImages;
  readonly captions: readonly string[];
  /** [captions]: the number of each caption's picture. */
  readonly owners: Int32Array;
  /** Whether captions are names, which prompts are made of, not sentences. */
  readonly areNames: boolean;
}

/**
 * @param said `clip-art`, `clip-art:FOLDER`, or a .csv, .tsv or .jsonl table with columns `image` and `caption`; rows with the same picture are
 *   its several captions
 * @param side of drawings that are made from SVG, in pixels
 * @throws one line
 */
export async function openCaptions(said: string, side: number, options: HashOptions = {}): Promise<CaptionedImages> {
  const [, folder] = /^clip-art:(.+)$/.exec(said) ?? [];
  if (said === "clip-art" || folder !== undefined) return clipArtCaptions(folder ?? CLIP_ART_FOLDER, side, options);
  const source = await openSource({ kind: "table", table: said });
  const captions: string[] = [];
  const owners: number[] = [];
  for (let picture = 0; picture < source.length; picture++) {
    for (const caption of source.captions?.(picture) ?? []) {
      captions.push(caption);
      owners.push(picture);
    }
  }
  const files = Array.from({ length: source.length }, (_, i) => source.file?.(i) ?? "");
  const hash = await contentHash("captioned pictures", files, options);
  const images = unlabelled(basename(said), source.length, hash, source.image, source.describe);
  return { images, captions, owners: Int32Array.from(owners), areNames: false };
}

async function clipArtCaptions(folder: string, size: number, options: HashOptions): Promise<CaptionedImages> {
  const { onProgress } = options;
  const set = await openClipArt({ folder, size, ...(onProgress && { onProgress }) });
  const files = set.drawings.map(({ path }) => path);
  const hash = hashOf("clip art", size, await contentHash("svg", files, options));
  const name = (index: number): string => set.drawings[index]?.name ?? "";
  return {
    images: unlabelled("open-clip-art", set.drawings.length, hash, (index) => set.image(index), name),
    captions: set.drawings.map(({ title }) => title),
    owners: Int32Array.from(set.drawings, (_, i) => i),
    areNames: true,
  };
}

const unlabelled = (
  name: string,
  count: number,
  contentHash: string,
  image: (index: number) => Promise<ImageInput>,
  describe: (index: number) => string,
): LabelledImages => ({
  ...{ name, count, contentHash, image, describe },
  classNames: [],
  labels: new Int32Array(count).fill(-1),
});
