/** What the commands of all benchmarks have in common: flags, remarks, results. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { writeDocs } from "./report.ts";

export const root = join(import.meta.dirname, "..", "..");

/** For `parseArgs`. */
export const COMMON_FLAGS = {
  rounds: { type: "string", default: "7" },
  python: { type: "string", default: join(root, "bench", "python", ".venv", "bin", "python") },
  out: { type: "string" },
  docs: { type: "boolean", default: false },
} as const;

export const say = (text: string): void => void process.stderr.write(`${text}\n`);

export function whole(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${flag}: expected a whole number above 0, got ${text}`);
}

export function listed(flag: string, text: string, known: readonly string[]): string[] {
  const names = text.split(",");
  for (const name of names)
    if (!known.includes(name)) throw new Error(`--${flag}: expected some of ${known.join(", ")}, got ${name}`);
  return names;
}

/** @param ways of doing without it */
export function needPython(path: string, ways: string): void {
  if (!existsSync(path)) throw new Error(`no Python at ${path}: bench/README.md says how to make it (or ${ways})`);
}

export function sayIfBusy(): void {
  const [load = 0] = loadavg();
  if (load > 0.3) say(`the machine is busy (load ${load.toFixed(2)}): the figures will be of little worth`);
}

/** When and where a run was. */
export function runOf(): { readonly date: string; readonly processor: string } {
  return { date: new Date().toISOString(), processor: cpus()[0]?.model.trim() ?? "unknown processor" };
}

/** Writes the results as JSON, prints the tables and, if asked, puts them into the documentation. */
export function publish(
  benchmark: string,
  results: { readonly date: string },
  tables: string,
  flags: { readonly out?: string | undefined; readonly docs: boolean },
): void {
  const out = flags.out ?? join(root, "bench", "results", `${benchmark}-${results.date.replaceAll(":", "")}.json`);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(results, null, 2)}\n`);
  if (flags.docs) writeDocs(benchmark, tables);
  process.stdout.write(`${tables}\n`);
  say(out);
}

/** Runs a command; its errors are one line. */
export async function command(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
