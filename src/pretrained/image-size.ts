/** A model at another image size than it was trained at. */
import type { HostTensors } from "../engine/engine.ts";
import type { PreprocessConfig } from "../image/index.ts";
import { type ClipConfig, checkConfig, resizePositions } from "../model/index.ts";

interface Resizable {
  readonly format: string;
  readonly config: ClipConfig;
  readonly preprocess: PreprocessConfig;
  readonly fingerprint: string;
  readWeights(wanted?: (name: string) => boolean): Promise<HostTensors>;
}

/**
 * The same model for pictures of `imageSize` pixels: positional embeddings are interpolated as the model's own library does.
 * @throws one line if the size does not fit the architecture
 */
export function atImageSize<Model extends Resizable>(opened: Model, imageSize: number): Model {
  const config: ClipConfig = { ...opened.config, imageSize };
  checkConfig(config);
  if (typeof opened.preprocess.size !== "number")
    throw new Error(
      `imageSize: the model's pictures are no squares, so no size can stand for theirs, got ${imageSize}`,
    );
  const antialias = !opened.format.startsWith("Hugging Face");
  return {
    ...opened,
    config,
    preprocess: { ...opened.preprocess, size: imageSize },
    fingerprint: `${opened.fingerprint}-${imageSize}`,
    readWeights: async (wanted) => {
      const weights = await opened.readWeights(wanted);
      const isVisual = Object.keys(weights).some(
        (name) => name.endsWith("positional_embedding") && name.startsWith("visual."),
      );
      return isVisual ? resizePositions(weights, opened.config, imageSize, { antialias }).tensors : weights;
    },
  };
}
