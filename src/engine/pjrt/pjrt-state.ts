import { type HostTensor, sameShape, show, type TensorType } from "../../graph/index.ts";
import type { HostTensors, State, StateValues } from "../engine.ts";
import type { Client, DeviceBuffer } from "./client.ts";
import { mustBeOpen, type Runtime } from "./runtime.ts";

/** Values on the device, by name. */
export class PjrtState implements State {
  readonly client: Client;
  readonly #runtime: Runtime;
  readonly #entries: Map<string, DeviceBuffer>;
  #lost: string | undefined;
  #judged: Promise<void> = Promise.resolve();

  constructor(runtime: Runtime, values: StateValues) {
    this.client = runtime.client;
    this.#runtime = runtime;
    this.#entries = new Map();
    // One after the other, so that the host never holds all that are made for this.
    for (const [name, value] of Object.entries(values))
      this.#entries.set(name, this.client.upload(typeof value === "function" ? value() : value));
    runtime.holders.add(this);
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  get types(): Readonly<Record<string, TensorType>> {
    return Object.fromEntries([...this.#entries].map(([name, { type }]) => [name, type]));
  }

  /** What the device holds by a name. @throws if there is no such entry, or a failed run took it */
  entry(name: string): DeviceBuffer {
    this.check();
    const held = this.#entries.get(name);
    if (!held) throw new Error(`state: no entry ${name}`);
    return held;
  }

  /** @throws where a run failed that had taken entries for its results */
  check(): void {
    mustBeOpen(this.#runtime);
    if (this.#lost !== undefined) throw new Error(this.#lost);
  }

  /** Takes over a buffer; the one before goes. */
  replace(name: string, buffer: DeviceBuffer): void {
    const before = this.#entries.get(name);
    this.#entries.set(name, buffer);
    if (before) this.client.destroy(before);
  }

  /** After a run that failed while it changed entries. */
  lose(reason: string): void {
    this.#lost ??= `state: a run failed while it changed this state, which is lost: ${reason}`;
  }

  /** What became of a run that changes this state; those before it are judged first. */
  judge(verdict: () => Promise<void>): Promise<void> {
    const judged = this.#judged.then(async () => {
      try {
        await verdict();
      } catch (error) {
        this.lose(error instanceof Error ? error.message : String(error));
        throw error;
      }
      this.check();
    });
    this.#judged = judged.catch(() => undefined);
    return judged;
  }

  async read(names: readonly string[] = this.names): Promise<HostTensors> {
    // Started in turn, before a later run takes the buffers; awaited outside, so that such a run need not wait.
    const { copies } = await this.#runtime.queue.inOrder(() => {
      const entries = names.map((name) => [name, this.entry(name)] as const);
      return { copies: entries.map(async ([name, held]) => [name, await this.client.download(held)] as const) };
    });
    const values = await Promise.allSettled(copies);
    await this.#judged;
    this.check();
    return Object.fromEntries(
      values.map((value) => {
        if (value.status === "rejected") throw value.reason;
        return value.value;
      }),
    );
  }

  async write(values: HostTensors): Promise<void> {
    await this.#runtime.queue.inOrder(() => {
      this.check();
      for (const [name, value] of Object.entries(values)) this.#expect(name, value);
      for (const [name, value] of Object.entries(values)) this.replace(name, this.client.upload(value));
    });
  }

  async close(): Promise<void> {
    await this.#runtime.queue.inOrder(() => this.release());
  }

  release(): void {
    for (const held of this.#entries.values()) this.client.destroy(held);
    this.#entries.clear();
    this.#runtime.holders.delete(this);
  }

  #expect(name: string, value: HostTensor): void {
    const held = this.#entries.get(name)?.type;
    if (!held || held.dtype !== value.dtype || !sameShape(held.shape, value.shape))
      throw new Error(`state: entry ${name} is ${held ? show(held) : "not there"}, got ${show(value)}`);
  }
}
