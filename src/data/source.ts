import type { DecodedImage } from "../image/index.ts";
import type { Random } from "./random.ts";

/** Pairs of a picture and a caption, by number. */
export interface PairSource {
  /** What logs and errors call it. */
  readonly name: string;
  /** Number of pairs (pictures; one picture may have several captions). */
  readonly length: number;
  /** The picture of a pair; rejects with one line if it cannot be read. */
  image(index: number): Promise<DecodedImage>;
  /** A caption of the pair, drawn anew from `random` each time it is asked for. */
  caption(index: number, random: Random): string;
  /** All captions of the pair, where they are a list: what retrieval is measured with. */
  captions?(index: number): readonly string[];
  /** The file of the picture, where each has its own. */
  file?(index: number): string;
  /** Where the pair comes from, for messages. */
  describe(index: number): string;
  /** Lets go of open files; nothing may be asked afterwards. */
  close?(): void;
}
