import { emojiTrainingSource, openEmoji } from "./emoji.ts";
import { clipArtSource, openClipArt } from "./open-clip-art.ts";
import { openSidecarFolder } from "./sidecar.ts";
import type { PairSource } from "./source.ts";
import { openTable, type TableOptions } from "./table.ts";

/** Where pairs come from, as plain data: a run's record holds it, and every worker opens the source from it anew. */
export type SourceSpec =
  | {
      readonly kind: "emoji";
      /** Side of the drawings in pixels. @default 80 */
      readonly size?: number;
      /** @default the six training vendors */
      readonly vendors?: readonly string[];
      readonly cacheDir?: string;
    }
  | ({ readonly kind: "table" } & TableOptions)
  | {
      /** Pictures with a text file of the same name beside each. */
      readonly kind: "sidecar";
      readonly folder: string;
      readonly maxPixels?: number;
    }
  | {
      /** SVG drawings with titles in their metadata. */
      readonly kind: "clip-art";
      /** @default where Debian's package openclipart-svg puts them */
      readonly folder?: string;
      /** Side of the drawings in pixels. @default 224 */
      readonly size?: number;
    };

export interface OpenSourceOptions {
  /** Sources that prepare something once (the emoji are drawn) say how far they are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** @throws one line that names the file, the line where there is one, what was expected and what came. */
export async function openSource(spec: SourceSpec, options: OpenSourceOptions = {}): Promise<PairSource> {
  switch (spec.kind) {
    case "emoji":
      return emojiTrainingSource(await openEmoji({ ...spec, ...options }), spec.vendors);
    case "table":
      return openTable(spec);
    case "sidecar":
      return openSidecarFolder(spec.folder, spec);
    case "clip-art":
      return clipArtSource(await openClipArt({ ...spec, ...options }));
  }
}
