/** What the command loads before it does anything. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { run, start } from "./command.ts";

/** The modules of clip-ts, and the packages, that a command loaded. */
async function loadedBy(...args: string[]): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "clip-ts-loaded-"));
  try {
    const { status, err } = await start(args, "", undefined, { ...process.env, NODE_V8_COVERAGE: folder }).outcome;
    expect(status, err).toBe(0);
    const urls = new Set<string>();
    for (const name of await readdir(folder)) {
      const { result }: { result: readonly { url: string }[] } = JSON.parse(await readFile(join(folder, name), "utf8"));
      for (const { url } of result) urls.add(url);
    }
    return [...urls].flatMap((url) => /\/(?:dist\/src|node_modules)\/(.*)$/.exec(url)?.[1] ?? []).sort();
  } finally {
    await rm(folder, { recursive: true });
  }
}

it("loads nothing for --help but the parser of the command line", async () => {
  const loaded = await loadedBy("--help");
  expect(loaded.filter((path) => !path.startsWith("commander/"))).toEqual([
    "cli/failure.js",
    "cli/main.js",
    "cli/output.js",
    "train/version.js",
  ]);
});

it("loads for tokenize the tokenizer and neither models nor pictures", async () => {
  const loaded = await loadedBy("tokenize", "an axolotl");
  expect(loaded).toContain("tokenizer/tokenizer.js");
  expect(
    loaded.filter((path) => /^(clip|model|image|engine|graph|eval|data|onnxruntime|sharp|zod)\b/.test(path)),
  ).toEqual([]);
});

it("has each command's purpose in the list and in its own help", async () => {
  const { out: list } = await run(["--help"]);
  const flowing = list.replace(/\s+/g, " ");
  const names = [...list.matchAll(/^ {2}([a-z]+) {2,}/gm)].flatMap(([, name]) => name ?? []);
  expect(names.length).toBeGreaterThan(10);
  for (const asked of [
    ["help", "classify"],
    ...names.filter((name) => name !== "help").map((name) => [name, "--help"]),
  ]) {
    const name = asked.find((word) => names.includes(word) && word !== "help");
    const { out, status } = await run(asked);
    expect(status).toBe(0);
    const [usage = "", purpose = ""] = out.split("\n\n").map((part) => part.replace(/\s+/g, " ").trim());
    expect(usage).toMatch(new RegExp(`^Usage: clip-ts ${name}[ |]`)); // other names follow behind a bar
    expect(flowing).toContain(`${name} ${purpose}`);
  }
});
