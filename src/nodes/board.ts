/** What the coordinator holds for all nodes: keys, with those who wait for one, and places where all nodes wait for each other. */
import { bytesOf, type FrameKind } from "./frames.ts";

/** Bounds of what is held. */
const MOST_KEYS = 100_000;
const MOST_HELD = 256 * 2 ** 20;
const MOST_WAITING = 4096;

export interface Reply {
  readonly kind: FrameKind;
  readonly field?: Uint8Array;
}

/** A node that asks. */
export interface Asker {
  /** Where a reply goes that was not there at once. */
  reply(question: number, reply: Reply): void;
  /** Keys it waits for. */
  waiting: number;
}

export interface Board {
  put(key: string, value: Uint8Array): Reply;
  /** What the key holds, or undefined: the asker is told within the time. */
  get(asker: Asker, question: number, key: string, timeoutMs: number): Reply | undefined;
  /** For the last of the nodes at a place of that name; for the others undefined: they are told when it is there. */
  arrive(asker: Asker, question: number, name: string): Reply | undefined;
  close(): void;
}

interface Waiter {
  readonly asker: Asker;
  readonly question: number;
  readonly timer: NodeJS.Timeout;
}

export const OK: Reply = { kind: "ok" };
const denied = (why: string): Reply => ({ kind: "denied", field: bytesOf(why) });

/** @param nodes that meet at a place */
export function createBoard(nodes: number): Board {
  const values = new Map<string, Uint8Array>();
  let held = 0;
  const waiters = new Map<string, readonly Waiter[]>();
  const places = new Map<string, Map<Asker, number>>();

  const wait = (key: string, { asker, question }: Omit<Waiter, "timer">, timeoutMs: number): void => {
    const timer = setTimeout(() => {
      asker.waiting--;
      const others = (waiters.get(key) ?? []).filter((other) => other !== waiter);
      if (others.length > 0) waiters.set(key, others);
      else waiters.delete(key);
      asker.reply(question, { kind: "missing" });
    }, timeoutMs);
    timer.unref();
    const waiter = { asker, question, timer };
    asker.waiting++;
    waiters.set(key, [...(waiters.get(key) ?? []), waiter]);
  };

  return {
    put(key, value) {
      const known = values.get(key);
      if (known) return Buffer.compare(known, value) === 0 ? OK : denied(`the key ${key} holds something else already`);
      if (values.size >= MOST_KEYS || held + value.length > MOST_HELD)
        return denied(`${values.size} keys with ${held} bytes are there: no more fit`);
      values.set(key, value);
      held += value.length;
      for (const { asker, question, timer } of waiters.get(key) ?? []) {
        clearTimeout(timer);
        asker.waiting--;
        asker.reply(question, { kind: "value", field: value });
      }
      waiters.delete(key);
      return OK;
    },
    get(asker, question, key, timeoutMs) {
      const known = values.get(key);
      if (known) return { kind: "value", field: known };
      if (timeoutMs <= 0) return { kind: "missing" };
      if (asker.waiting >= MOST_WAITING) return denied("it waits for too many keys");
      wait(key, { asker, question }, timeoutMs);
      return undefined;
    },
    arrive(asker, question, name) {
      const arrived = places.get(name) ?? new Map<Asker, number>();
      if (arrived.size === 0 && places.size >= MOST_WAITING) return denied("there are too many barriers");
      arrived.set(asker, question);
      places.set(name, arrived);
      if (arrived.size < nodes) return undefined;
      places.delete(name);
      for (const [each, asked] of arrived) if (each !== asker) each.reply(asked, OK);
      return OK;
    },
    close() {
      for (const waiting of waiters.values()) for (const { timer } of waiting) clearTimeout(timer);
    },
  };
}
