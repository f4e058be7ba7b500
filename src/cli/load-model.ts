import { CLIP, type LoadOptions } from "../clip.ts";
import { createDownloadBar } from "./download-bar.ts";

/** Loads what a user names, a path or a model on the hub, with the download's progress on stderr. */
export async function loadModel(model: string, options: Omit<LoadOptions, "hub"> = {}): Promise<CLIP> {
  const bar = createDownloadBar();
  try {
    return await CLIP.load(model, { ...options, hub: bar.hub });
  } finally {
    bar.end();
  }
}
