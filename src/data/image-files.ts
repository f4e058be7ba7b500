import { decodeImage } from "../image/index.ts";
import type { PairSource } from "./source.ts";

/** A picture on disk and what is said of it. */
export interface CaptionedFile {
  /** Undefined if it is not there. */
  readonly path: string | undefined;
  /** What messages call it. */
  readonly label: string;
  readonly captions: readonly string[];
}

/** Pairs from files; a picture with several captions is one pair, and one of them is drawn each time. */
export function imageFilesSource(name: string, files: readonly CaptionedFile[], maxPixels?: number): PairSource {
  const at = (index: number): CaptionedFile => {
    const file = files[index];
    if (!file) throw new Error(`${name}: pair must be in 0 .. ${files.length - 1}, got ${index}`);
    return file;
  };
  return {
    name,
    length: files.length,
    image: (index) => {
      const { path, label } = at(index);
      if (path === undefined) return Promise.reject(new Error(`${label}: is not there`));
      return decodeImage(path, { name: label, ...(maxPixels === undefined ? {} : { maxPixels }) });
    },
    caption: (index, random) => random.pick(at(index).captions),
    captions: (index) => at(index).captions,
    file: (index) => at(index).path ?? at(index).label,
    describe: (index) => at(index).label,
  };
}
