import { expect, it } from "vitest";
import { RunQueue } from "../../../src/engine/pjrt/run-queue.ts";

/** A run that ends when it is told to. */
function controlled() {
  let resolve = (): void => undefined;
  let reject = (_: Error): void => undefined;
  const done = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  done.catch(() => undefined);
  return { done, resolve, reject };
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("starts runs in order, no more at once than it may", async () => {
  const queue = new RunQueue(2);
  const runs = Array.from({ length: 4 }, controlled);
  const started: number[] = [];
  const all = runs.map((run, i) =>
    queue.run(() => {
      started.push(i);
      return run;
    }),
  );
  await settle();
  expect(started).toEqual([0, 1]);
  runs[1]?.resolve();
  await settle();
  expect(started).toEqual([0, 1, 2]);
  runs[0]?.reject(new Error("a run that fails ends too"));
  await settle();
  expect(started).toEqual([0, 1, 2, 3]);
  for (const run of runs) run.resolve();
  await Promise.all(all);
  await queue.idle();
});

it("keeps what is done between runs in its place, and goes on after a failure", async () => {
  const queue = new RunQueue(1);
  const run = controlled();
  const order: string[] = [];
  const started = (what: string, done: Promise<void>) => () => {
    order.push(what);
    return { done };
  };
  const first = queue.run(started("run", run.done));
  const read = queue.inOrder(() => void order.push("read"));
  const failed = queue.run(() => {
    throw new Error("not started");
  });
  const last = queue.run(started("last", Promise.resolve()));
  await Promise.all([first, read]);
  await settle();
  expect(order).toEqual(["run", "read"]);
  run.resolve();
  await expect(failed).rejects.toThrow("not started");
  await last;
  expect(order).toEqual(["run", "read", "last"]);
});
