import { join } from "node:path";
import { Option } from "commander";
import { CLIP } from "../clip.ts";
import type { LongText } from "../tokenizer/index.ts";
import { whole } from "./options.ts";

/** What `clip-ts quickstart` leaves: the model of a command that is told none. */
const DEFAULT_MODEL = join("runs", "quickstart");

export interface ModelFlags {
  readonly model: string;
  readonly threads?: number;
}

export const modelOption = (): Option =>
  new Option("--model <model>", "run folder, or whatever else CLIP.load takes").default(DEFAULT_MODEL);

export const loadModel = ({ model, threads }: ModelFlags): Promise<CLIP> =>
  CLIP.load(model, threads === undefined ? {} : { threads });

export const threadsOption = (): Option =>
  new Option("--threads <n>", "threads of the engine (default: the machine's cores)").argParser(whole);

const LONG_TEXTS = ["error", "truncate", "chunk"] as const satisfies readonly LongText[];

export const longTextOption = (standard: LongText): Option =>
  new Option("--long-text <what>", "texts longer than the context: refuse, cut, or average their parts")
    .choices(LONG_TEXTS)
    .default(standard);
