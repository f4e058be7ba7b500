import type { OfficialSource } from "../checkpoint/index.ts";
import type { PreprocessConfig } from "../image/index.ts";
import type { ClipConfig } from "../model/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";

/** What is converted: everything that must agree, the weights read a tensor at a time. */
export interface SourceModel extends OfficialSource {
  readonly config: ClipConfig;
  readonly templates: readonly string[];
  readonly preprocess: PreprocessConfig;
  /** Undefined if it has none that we can write. */
  readonly tokenizer: Tokenizer | undefined;
}
