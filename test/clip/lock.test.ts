import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { locked } from "../../src/lock.ts";

let path: string;
beforeAll(async () => {
  path = join(await mkdtemp(join(tmpdir(), "clip-ts-lock-")), "lock");
});
afterAll(() => rm(join(path, ".."), { recursive: true }));

const refuse = {
  waiting: (): never => {
    throw new Error("held");
  },
};

describe("a lock", () => {
  it("is held by one at a time, and is gone with the last", async () => {
    let [inside, most, done] = [0, 0, 0];
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      for (let i = 0; i < 5; i++) await turn();
      inside--;
      done++;
    };
    await Promise.all(Array.from({ length: 6 }, () => locked(path, work)));
    expect({ most, done }).toEqual({ most: 1, done: 6 });
    expect(existsSync(path)).toBe(false);
  });

  it("is let go of where the work fails", async () => {
    await expect(locked(path, () => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
    expect(existsSync(path)).toBe(false);
  });

  it("refuses instead of waiting where that is wanted", async () => {
    const second = await locked(path, () => locked(path, async () => "both", refuse).catch(({ message }) => message));
    expect(second).toBe("held");
  });

  const dead = spawnSync(process.execPath, ["--version"]).pid;
  it.each([
    ["a process that is gone", `${dead} ${hostname()} x`, 0, "taken"],
    ["a process before this one that had its number", `${process.pid} ${hostname()} x`, 0, "taken"],
    ["a process that lives", `${process.ppid} ${hostname()} x`, 0, "held"],
    ["another machine", `${dead} elsewhere x`, 0, "held"],
    ["another machine that has been silent for a minute", `${dead} elsewhere x`, 60_000, "taken"],
  ])("of %s", async (_, holder, silentFor, expected) => {
    await writeFile(path, holder);
    const beat = new Date(Date.now() - silentFor);
    await utimes(path, beat, beat);
    const found = await locked(path, async () => "taken", refuse).catch(({ message }) => message);
    await rm(path, { force: true });
    expect(found).toBe(expected);
  });
});
