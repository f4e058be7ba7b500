/** An 8-bit RGB picture: `data` is `[height, width, 3]`, row by row from the top left. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/**
 * What the decoder found besides the colours and what the official transform reacts to: it resamples a picture in the
 * mode it was stored in and converts to RGB afterwards. A plain `RgbImage` is a `DecodedImage` too.
 */
export interface DecodedImage extends RgbImage {
  /** `[height, width]`, absent where every pixel is opaque. Colours are resampled premultiplied by it, then it is dropped. */
  readonly alpha?: Uint8Array;
  /** `[height, width]` of transparency that is no channel (a palette's, a PNG's one colour, a GIF's index), which the official transform ignores. */
  readonly ignoredAlpha?: Uint8Array;
  /** RGB of the indices of a palette or 1-bit picture: the official transform takes the nearest pixel instead of filtering. */
  readonly palette?: Uint8Array;
  /** `[height, width]` of a gray picture with more than 8 bits: it is resampled in these and clipped to 8 bits after it. */
  readonly deep?: DeepGray;
  /** `[height, width, 4]`, 0 = no ink: the picture is resampled in these and becomes RGB after it. */
  readonly cmyk?: Uint8Array;
}

export type DeepGray = Uint16Array | Int32Array | Float32Array;

/** Anything that gives numbers uniform in [0, 1): `Math.random` wrapped, or the seeded generator of the data room. */
export interface UniformSource {
  uniform(): number;
}
