/** What the engine and its worker thread say to each other. */
import type { HostTensor } from "../../graph/index.ts";
import type { HostTensors } from "../engine.ts";

export type ExecutionProvider = "cpu" | "webgpu";

export interface WorkerOptions {
  readonly executionProvider: ExecutionProvider;
  readonly threads: number;
}

export interface ModelSource {
  /** The model's bytes, or the path of a model file with its weights beside it. */
  readonly model: Uint8Array | string;
  /** Whether the model is optimised already. */
  readonly optimized?: boolean;
  /** Where the optimised model is to be written, its weights beside it. */
  readonly keep?: { readonly model: string; readonly weights: string };
  /** State entries that the program reads, and those it replaces. */
  readonly stateInputs: readonly string[];
  readonly stateOutputs: readonly string[];
  /** Elements of the entries that it reads. */
  readonly stateElements: number;
  /** Those of the replaced entries whose update may be written where the entry is. */
  readonly inPlace: readonly string[];
  /** Entries that are filled with a number after each run. */
  readonly filled: Readonly<Record<string, number>>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Requests by kind, with the answers they bring. */
export interface Calls {
  compile: { request: ModelSource; answer: number };
  run: { request: { program: number; inputs: HostTensors; state: number | undefined }; answer: HostTensors };
  closeProgram: { request: number; answer: undefined };
  createState: { request: undefined; answer: number };
  /** A further entry, whose array becomes the worker's. */
  addEntry: { request: { state: number; name: string; value: HostTensor }; answer: undefined };
  readState: { request: { state: number; names: readonly string[] }; answer: HostTensors };
  writeState: { request: { state: number; values: HostTensors }; answer: undefined };
  closeState: { request: number; answer: undefined };
}

export type CallName = keyof Calls;

export interface Request<K extends CallName = CallName> {
  readonly id: number;
  readonly call: K;
  readonly request: Calls[K]["request"];
}

export type Answer =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string };
