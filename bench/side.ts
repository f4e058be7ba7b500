/** A child process that is measured. Between questions it is blocked on a pipe. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import type { Prepared, Question, Ran } from "./protocol.ts";

export interface Side {
  readonly name: string;
  prepare(): Promise<Prepared>;
  /** Any other question. */
  ask<T>(question: { readonly ask: string }): Promise<T>;
  /** Returns once the process has come to rest: thread pools spin and loaders work ahead for a while. */
  run(question: Omit<Extract<Question, { ask: "run" }>, "ask">): Promise<Measured>;
  /** Bytes of memory the process has had at most; undefined where the system does not tell. */
  peakMemory(): number | undefined;
  /** Seconds it has spent compiling. */
  compileSeconds(): number;
  close(): void;
}

export interface Measured extends Ran {
  /** Share of the machine's processor time that other processes took meanwhile. */
  readonly elsewhere: number | undefined;
}

export interface SideCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export function startSide({ name, command, args, env = {} }: SideCommand): Side {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
  const said: string[] = [];
  const stopWatching = watchMemory(() => {
    said.push(
      "stopped: the machine's memory is nearly full: end other programs, or measure fewer sides at once (--sides)",
    );
    child.kill("SIGKILL");
  });
  child.on("exit", (_code, signal) => {
    stopWatching();
    if (signal !== null) said.push(said.findLast((line) => line.startsWith("stopped: ")) ?? `ended by ${signal}`);
  });
  createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.on("error", (error) => said.push(error.message));
  child.stdin.on("error", () => {}); // said by the missing answer

  async function ask<T>(question: Question | { readonly ask: string }): Promise<T> {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await lines.next();
    if (done) {
      await setTimeout(50); // the reason may still be on its way
      throw new Error(`${name}: ${said.findLast((line) => line.trim() !== "") ?? "ended without an answer"}`);
    }
    const answer: T = JSON.parse(value);
    return answer;
  }

  let compiling = Number.NaN;
  async function atRest(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const before = ownTicks(child.pid);
      await setTimeout(60);
      if (ownTicks(child.pid) === before) return;
    }
  }

  return {
    name,
    ask,
    async prepare() {
      const prepared = await ask<Prepared>({ ask: "prepare" });
      compiling = prepared.compiling;
      await atRest();
      return prepared;
    },
    async run(question) {
      const [own, all] = [ownTicks(child.pid), machineTicks()];
      const ran = await ask<Ran>({ ask: "run", ...question });
      const [ownNow, allNow] = [ownTicks(child.pid), machineTicks()];
      const elsewhere =
        own === undefined || ownNow === undefined || !all || !allNow
          ? undefined
          : Math.max(0, allNow.busy - all.busy - (ownNow - own)) / (allNow.total - all.total);
      compiling = ran.compiling ?? compiling;
      await atRest();
      return { ...ran, elsewhere };
    },
    peakMemory() {
      const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(textOf(`/proc/${child.pid}/status`) ?? "")?.[1];
      return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
    },
    compileSeconds: () => compiling,
    close: () => void child.kill(),
  };
}

/** Below this a machine without swap stands still: it reads its programs from the disk again and again. */
const LEAST_MEMORY = 1.5 * 2 ** 30;

/** Calls back once where memory runs out. @returns what ends the watch */
function watchMemory(full: () => void): () => void {
  const timer = setInterval(() => {
    const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(textOf("/proc/meminfo") ?? "")?.[1];
    if (kilobytes === undefined || Number(kilobytes) * 1024 > LEAST_MEMORY) return;
    clearInterval(timer);
    full();
  }, 250);
  return () => clearInterval(timer);
}

/** Clock ticks of a process with all its threads (proc(5): the 14th and 15th field; the name may hold blanks). */
function ownTicks(pid: number | undefined): number | undefined {
  const fields = textOf(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, "")
    .split(" ");
  return fields && Number(fields[11]) + Number(fields[12]);
}

function machineTicks(): { readonly busy: number; readonly total: number } | undefined {
  const fields = textOf("/proc/stat")?.split("\n")[0]?.trim().split(/\s+/).slice(1, 9).map(Number);
  if (!fields) return undefined;
  const total = fields.reduce((sum, ticks) => sum + ticks, 0);
  return { busy: total - (fields[3] ?? 0) - (fields[4] ?? 0), total };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // no Linux, or the process has ended
  }
}
