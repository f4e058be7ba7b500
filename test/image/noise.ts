import type { RgbImage } from "../../src/image/index.ts";

/** Reproducible noise, the hardest thing to resample. */
export function noise(width: number, height: number, seed: number): RgbImage {
  let state = (seed * 2654435761 + 1) >>> 0;
  const data = Uint8Array.from({ length: width * height * 3 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  return { width, height, data };
}
