import type { Coefficients } from "./coefficients.ts";

/** Interleaved 8-bit samples, `[height, width, channels]`. */
export interface Samples {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** What is computed of a picture, and from which part of it. */
export interface Resampling {
  readonly vertical?: Coefficients;
  readonly horizontal?: Coefficients;
  readonly verticalFirst: boolean;
  /** The part of the source that is needed. */
  readonly needed: Rectangle;
  readonly crop: Rectangle;
}
