/**
 * The README's code works. Its convention:
 *
 * - every block of "```ts" is type-checked against the built package, imported by its name, `clip-ts`;
 * - a block of "```ts run" is also run, in a folder that holds the files of `test/project/readme-files`, if that is there;
 * - a block of "```text output" right behind it is what it prints, exactly.
 *
 * A README without a block that runs fails. The package has to be built: `npm test` does.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Block, blocksOf } from "./readme-blocks.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const README = join(ROOT, "README.md");
const FILES = fileURLToPath(new URL("readme-files", import.meta.url));
const execute = promisify(execFile);

/** A stranger's project, with the package installed. */
async function project(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "clip-ts-readme-"));
  await mkdir(join(folder, "node_modules"));
  await symlink(ROOT, join(folder, "node_modules", "clip-ts"), "dir");
  await symlink(join(ROOT, "node_modules", "@types"), join(folder, "node_modules", "@types"), "dir");
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  const compilerOptions = {
    target: "es2023",
    lib: ["es2023"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    skipLibCheck: true,
    outDir: "out",
    rootDir: ".",
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  if (existsSync(FILES)) await cp(FILES, folder, { recursive: true });
  return folder;
}

/** Type-checks the blocks and runs those that run; what each printed. Throws with the compiler's or the program's words. */
async function tryOut(blocks: readonly Block[], folder: string): Promise<(string | undefined)[]> {
  for (const { line, code } of blocks) await writeFile(join(folder, `line-${line}.ts`), `${code}\nexport {};\n`);
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  await execute(process.execPath, [tsc, "-p", folder], { cwd: folder }).catch((error: { stdout: string }) => {
    throw new Error(`the code does not compile:\n${error.stdout}`);
  });
  const printed: (string | undefined)[] = [];
  for (const { line, runs } of blocks)
    printed.push(
      runs
        ? (await execute(process.execPath, [join(folder, "out", `line-${line}.js`)], { cwd: folder })).stdout
        : undefined,
    );
  return printed;
}

const block = (code: string, output?: string): Block => ({ line: 1, code, runs: true, output });

let folder = "";
beforeAll(async () => {
  folder = await project();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.runIf(existsSync(README))("README.md", () => {
  it("has code that compiles, runs and prints what it says", async () => {
    const blocks = blocksOf(await readFile(README, "utf8"));
    expect(blocks.filter(({ runs }) => runs).length, "blocks of ```ts run").toBeGreaterThan(0);
    const printed = await tryOut(blocks, folder);
    for (const [i, { line, output }] of blocks.entries())
      if (output !== undefined) expect(printed[i], `output of the block at line ${line}`).toBe(output);
  });
});

describe("the check itself", () => {
  it("finds blocks, whether they run, and what they print", () => {
    const markdown =
      "# A\n```ts run\nconsole.log(1);\n```\n\n```text output\n1\n```\n```ts\nlet x: number;\n```\ntext\n```text output\n2\n```\n```sh\nls\n```\n";
    expect(blocksOf(markdown)).toEqual([
      { line: 2, code: "console.log(1);\n", runs: true, output: "1\n" },
      { line: 9, code: "let x: number;\n", runs: false, output: undefined },
    ]);
  });

  it("runs code against the package, and refuses what does not compile or fails", async () => {
    const other = await project();
    try {
      const good = 'import { elements } from "clip-ts/graph";\nconsole.log(elements([2, 3]));\n';
      expect(await tryOut([block(good)], other)).toEqual(["6\n"]);
      const wrong = 'import { elements } from "clip-ts/graph";\nelements("two");\n';
      await expect(tryOut([block(wrong)], other)).rejects.toThrow("does not compile");
      await expect(tryOut([block("throw new Error('no');")], other)).rejects.toThrow("no");
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });
});
