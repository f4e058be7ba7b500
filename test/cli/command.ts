import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const MAIN = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
if (!existsSync(MAIN)) throw new Error("the commands are tested as built: run tsc -p tsconfig.build.json first");

export interface Outcome {
  /** Exit status, or the signal's name. */
  readonly status: number | NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Command {
  readonly outcome: Promise<Outcome>;
  kill(signal: NodeJS.Signals): void;
  /** Stops reading what it says, as `| head` does, at the first that comes. */
  hangUp(stream: "stdout" | "stderr"): void;
  running(): boolean;
}

/** Starts clip-ts. @param input what it finds on its standard input */
export function start(args: readonly string[], input = "", cwd?: string, env = process.env): Command {
  const child = spawn(process.execPath, [MAIN, ...args], cwd === undefined ? { env } : { env, cwd });
  let [out, err, ended] = ["", "", false];
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin.end(input);
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      ended = true;
      resolve({ status: code ?? signal, out, err });
    });
  });
  const hangUp = (name: "stdout" | "stderr"): void => void child[name].once("data", () => child[name].destroy());
  return { outcome, hangUp, kill: (signal) => child.kill(signal), running: () => !ended };
}

export const run = (args: readonly string[], input?: string): Promise<Outcome> => start(args, input).outcome;

/** Waits until something holds; gives up when the command has ended. */
export async function until(holds: () => Promise<boolean>, command: Command): Promise<void> {
  while (!(await holds())) {
    if (!command.running()) throw new Error(`the command ended first: ${JSON.stringify(await command.outcome)}`);
    await pause(20);
  }
}
