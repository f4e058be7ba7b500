import type { Precision } from "../../engine.ts";
import type { Writer } from "./writer.ts";

/** What a lowering may use. */
export interface Context {
  readonly write: Writer;
  /** What the factors of products and convolutions are rounded to. */
  readonly precision: Precision;
  /** XLA's name of the platform: "cpu", "cuda". */
  readonly platform: string;
}
