/** A task as plain data: where its pictures are, how they are classified, what is measured. */
import type { ImageInput } from "../../clip.ts";
import type { ImagesSpec } from "./images-spec.ts";

/** Of the paper (CLIP, table 9); `mean of two` is the mean of top-1 and top-5. */
export const METRICS = ["accuracy", "mean per class", "11-point mAP", "ROC AUC", "mean of two"] as const;
export type MetricName = (typeof METRICS)[number];

export const SPLITS = ["train", "validation", "test"] as const;
export type Split = (typeof SPLITS)[number];

export interface Task {
  readonly name: string;
  /** What zero-shot is measured on, and everything else in the end. */
  readonly test: ImagesSpec;
  /** What probes and few-shot learn from. */
  readonly train?: ImagesSpec;
  /** What hyperparameters are chosen on. @default a part of `train` that is drawn with the seed */
  readonly validation?: ImagesSpec;
  readonly metric: MetricName;
  /** What prompts are made from, in the order of the labels. @default the source's names */
  readonly classNames?: readonly string[];
  /** Prompts of the ensemble, `{}` being the name. @default the source's, else the model's */
  readonly templates?: readonly string[];
  /** The one prompt where one is to do. @default the first of the ensemble that says more than the name */
  readonly template?: string;
}

/** Pictures with labels, by number, read when they are asked for. */
export interface LabelledImages {
  /** What logs, reports and errors call it. */
  readonly name: string;
  /** Number of pictures. */
  readonly count: number;
  readonly classNames: readonly string[];
  /** [count], each an index into `classNames`; where a picture has several, its first, or -1 if it has none. */
  readonly labels: Int32Array;
  /** Where a picture may have several labels, [count, classes]: 1 it has, 0 it has not, -1 not counted (VOC's "difficult"). */
  readonly several?: Int8Array;
  /** Of the pictures' content and order, not of labels and names: what features are kept by. */
  readonly contentHash: string;
  /** Prompts that came with the data. */
  readonly templates?: readonly string[];
  /** A path, the bytes of a file, or pixels, whatever is at hand. @throws one line that names the picture */
  image(index: number): Promise<ImageInput>;
  /** Where the picture is from, for messages and reports. */
  describe(index: number): string;
  /** Lets go of open files; nothing may be asked afterwards. */
  close?(): Promise<void>;
}
