import type { HubOptions } from "../hub/index.ts";
import { createByteBar } from "./byte-bar.ts";

/** The progress of downloads on stderr. */
export function createDownloadBar(out: NodeJS.WriteStream = process.stderr): {
  readonly hub: Pick<HubOptions, "onProgress" | "onNote">;
  end(): void;
} {
  const bar = createByteBar(out);
  return {
    hub: { onProgress: ({ file, received, total }) => bar.show(received, total, file), onNote: bar.note },
    end: bar.end,
  };
}
