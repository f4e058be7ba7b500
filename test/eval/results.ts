/** Results for tests of what is made from them. */
import type { EvalResult, Figure } from "../../src/eval/result.ts";

/** One pixel. */
export const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export const figure = (name: string, value: number, low?: number, high?: number): Figure => ({
  name,
  value,
  ...(low === undefined || high === undefined ? {} : { low, high }),
  samples: 100,
  unit: "share",
});

export const evalResult = (some: Partial<EvalResult>): EvalResult => ({
  kind: "zero-shot",
  task: "pets",
  model: { name: "runs/one", fingerprint: "f1f1" },
  data: { name: "pets test", hash: "d1d1", pictures: 100, unreadable: 0, classes: 3 },
  figures: [figure("top-1", 0.5)],
  settings: { templates: ["a photo of a {}."] },
  seed: 7,
  versions: { "clip-ts": "0.1.0", node: "20.18.1" },
  seconds: 12,
  ...some,
});
