import type { Client } from "./client.ts";
import type { XlaOptions } from "./compile-options.ts";
import type { Compile } from "./executable-cache.ts";
import type { Grid } from "./grid.ts";
import type { RunQueue } from "./run-queue.ts";

/** What the programs and states of one engine share. */
export interface Runtime {
  readonly client: Client;
  readonly compile: Compile;
  /** All devices, where programs may span them. */
  readonly grid?: Grid;
  readonly queue: RunQueue;
  readonly flags: NonNullable<XlaOptions["flags"]>;
  /** Programs and states that hold something on the device: released before the client goes. */
  readonly holders: Set<{ release(): void }>;
  /** What was asked for and has not ended: an engine that is closed ends it first. */
  readonly calls: Set<Promise<unknown>>;
  open: boolean;
}

/** Something that an open engine is asked for. */
export async function during<T>(runtime: Runtime, action: () => T | Promise<T>): Promise<T> {
  if (!runtime.open) throw new Error("pjrt: the engine is closed");
  const call = (async () => action())();
  runtime.calls.add(call);
  try {
    return await call;
  } finally {
    runtime.calls.delete(call);
  }
}
