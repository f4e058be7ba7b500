import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const BUILT = pathToFileURL(join(import.meta.dirname, "../../dist/src/engine/pjrt/kept-memory.js")).href;

/** A program that says on each of its starts what it was started with. */
const PROGRAM = `
const { pid, argv, execArgv, env } = process;
const { MALLOC_ARENA_MAX, MALLOC_MMAP_THRESHOLD_, OWN } = env;
console.log(JSON.stringify({ pid, args: argv.slice(2), execArgv, MALLOC_ARENA_MAX, MALLOC_MMAP_THRESHOLD_, OWN }));
const { restartKeepingMemory } = await import(${JSON.stringify(BUILT)});
await restartKeepingMemory();
for await (const text of process.stdin) process.stdout.write(text);
`;

let place: string;
let program: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-kept-"));
  program = join(place, "program.mjs");
  await writeFile(program, PROGRAM);
});
afterAll(() => rm(place, { recursive: true }));

async function started(environment: NodeJS.ProcessEnv): Promise<{ starts: Record<string, unknown>[]; last: string }> {
  const { MALLOC_ARENA_MAX: _, MALLOC_MMAP_THRESHOLD_: __, MALLOC_TRIM_THRESHOLD_: ___, ...rest } = process.env;
  const args = ["--max-old-space-size=100", program, "two words", ""];
  const running = promisify(execFile)(process.execPath, args, { env: { ...rest, ...environment } });
  running.child.stdin?.end("what was on its way\n");
  const lines = (await running).stdout.trim().split("\n");
  return { starts: lines.slice(0, -1).map((line) => JSON.parse(line)), last: lines.at(-1) ?? "" };
}

describe.skipIf(process.platform !== "linux")("a process that keeps its memory", () => {
  it("starts once more as the same process, with the same arguments, environment and streams", async () => {
    const { starts, last } = await started({ OWN: "a=b" });
    const [first, second, ...more] = starts;
    expect(more).toEqual([]);
    expect(first).toMatchObject({ args: ["two words", ""], execArgv: ["--max-old-space-size=100"], OWN: "a=b" });
    expect(first).not.toHaveProperty("MALLOC_ARENA_MAX");
    expect(second).toEqual({ ...first, MALLOC_ARENA_MAX: "1", MALLOC_MMAP_THRESHOLD_: "17179869184" });
    expect(last).toBe("what was on its way");
  });

  it("leaves an allocator alone that is set already", async () => {
    const { starts } = await started({ MALLOC_ARENA_MAX: "4" });
    expect(starts.map(({ MALLOC_ARENA_MAX }) => MALLOC_ARENA_MAX)).toEqual(["4"]);
  });
});
