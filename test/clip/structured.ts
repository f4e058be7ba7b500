/** Structured pictures for comparing features of one arithmetic with another's, and how near they are. */
import { generatedImage } from "../model/generated.ts";

export function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? Number.NaN;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Coarse squares under fine noise, as bytes. */
export function picture(name: string, size: number): Uint8Array {
  const planes = generatedImage(name, size);
  return Uint8Array.from({ length: 3 * size * size }, (_, i) =>
    Math.max(0, Math.min(255, Math.round(128 + 60 * (planes[(i % 3) * size * size + Math.floor(i / 3)] ?? 0)))),
  );
}
