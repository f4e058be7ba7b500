import { type HostTensor, sameShape, show, type TensorType } from "../../graph/index.ts";
import { type HostTensors, isBoxed, type Shardings, type State, type StateValues } from "../engine.ts";
import type { Client } from "./client.ts";
import { type Grid, gather, heldPieces, type Spread, spread, spreadBoxes } from "./grid.ts";
import { during, type Runtime } from "./runtime.ts";

/** Values on devices, by name. */
export class PjrtState implements State {
  readonly client: Client;
  readonly grid: Grid;
  readonly #runtime: Runtime;
  readonly #entries: Map<string, Spread>;
  #lost: string | undefined;
  #judged: Promise<void> = Promise.resolve();

  private constructor(runtime: Runtime, grid: Grid) {
    this.client = runtime.client;
    this.grid = grid;
    this.#runtime = runtime;
    this.#entries = new Map();
    runtime.holders.add(this);
  }

  static async create(
    runtime: Runtime,
    grid: Grid,
    values: StateValues,
    shardings: Shardings = {},
  ): Promise<PjrtState> {
    const state = new PjrtState(runtime, grid);
    try {
      // One after the other, so that the host never holds all that are made for this.
      for (const [name, value] of Object.entries(values)) {
        const held = isBoxed(value)
          ? await spreadBoxes(runtime.client, grid, value, shardings[name])
          : spread(runtime.client, grid, value, shardings[name]);
        state.#entries.set(name, held);
      }
    } catch (error) {
      state.release();
      throw error;
    }
    return state;
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  get types(): Readonly<Record<string, TensorType>> {
    return Object.fromEntries([...this.#entries].map(([name, { type }]) => [name, type]));
  }

  /** What the devices hold by a name. @throws if there is no such entry, or a failed run took it */
  entry(name: string): Spread {
    this.check();
    const held = this.#entries.get(name);
    if (!held) throw new Error(`state: no entry ${name}`);
    return held;
  }

  /** @throws where a run failed that had taken entries for its results */
  check(): void {
    if (this.#lost !== undefined) throw new Error(this.#lost);
  }

  /** Takes over buffers; those before go. */
  replace(name: string, value: Spread): void {
    const before = this.#entries.get(name);
    this.#entries.set(name, value);
    for (const piece of before?.pieces ?? []) this.client.destroy(piece);
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

  read(names: readonly string[] = this.names): Promise<HostTensors> {
    return during(this.#runtime, () => this.#read(names));
  }

  async #read(names: readonly string[]): Promise<HostTensors> {
    // Started in turn, before a later run takes the buffers; awaited outside, so that such a run need not wait.
    const { copies } = await this.#runtime.queue.inOrder(() => {
      const entries = names.map((name) => [name, this.entry(name)] as const);
      return {
        copies: entries.map(async ([name, held]) => [name, await gather(this.client, this.grid, held)] as const),
      };
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

  readPiece(name: string, start: readonly number[]): Promise<HostTensor> {
    return during(this.#runtime, () => this.#readPiece(name, start));
  }

  async #readPiece(name: string, start: readonly number[]): Promise<HostTensor> {
    const { copy } = await this.#runtime.queue.inOrder(() => {
      const held = heldPieces(this.grid, this.entry(name)).find((piece) => piece.start.join() === start.join());
      if (!held) throw new Error(`state: no device of this process holds ${name} at [${start}]`);
      return { copy: this.client.download(held.piece) };
    });
    const value = await copy;
    await this.#judged;
    this.check();
    return value;
  }

  async write(values: HostTensors): Promise<void> {
    const replace = (): void => {
      this.check();
      for (const [name, value] of Object.entries(values)) this.#expect(name, value);
      for (const [name, value] of Object.entries(values))
        this.replace(name, spread(this.client, this.grid, value, this.entry(name).sharding));
    };
    await during(this.#runtime, () => this.#runtime.queue.inOrder(replace));
  }

  async close(): Promise<void> {
    await this.#runtime.queue.inOrder(() => this.release());
  }

  release(): void {
    for (const { pieces } of this.#entries.values()) for (const piece of pieces) this.client.destroy(piece);
    this.#entries.clear();
    this.#runtime.holders.delete(this);
  }

  #expect(name: string, value: HostTensor): void {
    const held = this.#entries.get(name)?.type;
    if (!held || held.dtype !== value.dtype || !sameShape(held.shape, value.shape))
      throw new Error(`state: entry ${name} is ${held ? show(held) : "not there"}, got ${show(value)}`);
  }
}
