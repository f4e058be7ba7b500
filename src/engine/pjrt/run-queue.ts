/** Runs in the order in which they were asked for, a few under way at once. */
export class RunQueue {
  readonly #most: number;
  #underWay = 0;
  #last: Promise<unknown> = Promise.resolve();
  #waiting: (() => void)[] = [];

  /** @param most runs that a device may have before it: one that computes and those that follow without a pause */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Starts a run when those before it are started and fewer than `most` are under way.
   * @param start starts it and returns what it is done with
   * @returns what `start` returned, when it has started
   */
  async run<T extends { readonly done: Promise<unknown> }>(start: () => T | Promise<T>): Promise<T> {
    return this.inOrder(async () => {
      while (this.#underWay >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const started = await start();
      this.#underWay++;
      const ended = (): void => {
        this.#underWay--;
        for (const resolve of this.#waiting.splice(0)) resolve();
      };
      started.done.then(ended, ended);
      return started;
    });
  }

  /** Does something when everything before it was started. */
  inOrder<T>(action: () => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(action);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** When nothing is under way and nothing waits. */
  async idle(): Promise<void> {
    await this.inOrder(async () => {
      while (this.#underWay > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    });
  }
}
