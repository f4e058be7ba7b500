import type { HashOptions } from "./content-hash.ts";
import type { ImagesSpec } from "./images-spec.ts";
import { openCifar } from "./sources/cifar.ts";
import { openDigits } from "./sources/digits.ts";
import { openEmojiImages } from "./sources/emoji.ts";
import { openClassFolders } from "./sources/folder.ts";
import { openIdx } from "./sources/idx.ts";
import { openParquet } from "./sources/parquet.ts";
import { openLabelTable } from "./sources/table.ts";
import { openWebDataset } from "./sources/webdataset.ts";
import type { LabelledImages } from "./task.ts";

/** @throws one line that names the file, what was expected and what came */
export function openImages(spec: ImagesSpec, options: HashOptions = {}): Promise<LabelledImages> {
  switch (spec.kind) {
    case "folder":
      return openClassFolders(spec.folder, options);
    case "table":
      return openLabelTable(spec, options);
    case "wds":
      return openWebDataset(spec.folder, options);
    case "idx":
      return openIdx(spec, options);
    case "cifar":
      return openCifar(spec, options);
    case "parquet":
      return openParquet(spec, options);
    case "digits":
      return openDigits(spec.part, options);
    case "emoji":
      return openEmojiImages(spec, options);
  }
}
