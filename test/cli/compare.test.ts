import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeResults } from "../../src/eval/result.ts";
import { evalResult, figure } from "../eval/results.ts";
import { run } from "./command.ts";

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "compare-"));
  await writeResults(at("one.json"), [evalResult({ figures: [figure("top-1", 0.4, 0.35, 0.45)] })]);
  await writeResults(at("two.json"), [evalResult({ figures: [figure("top-1", 0.6, 0.55, 0.65)] })]);
});
afterAll(() => rm(folder, { recursive: true }));

it("prints a table, writes a page and JSON", async () => {
  const table = await run(["compare", at("one.json"), at("two.json"), "--html", at("page.html")]);
  expect(table).toMatchObject({ status: 0, err: "" });
  expect(table.out).toMatch(/pets +zero-shot +top-1 +40\.0 % +60\.0 % +\+20\.0 \(\+12\.9 to \+27\.1\) ~ \*/);
  expect(await readFile(at("page.html"), "utf8")).toContain("one and two");
  const { out } = await run(["compare", at("one.json"), at("two.json"), "--json"]);
  const json = JSON.parse(out);
  expect(json.runs).toEqual(["one", "two"]);
  expect(json.tasks[0].figures[0].differences[1].value).toBeCloseTo(0.2, 12);
});

it("says in one line what is wrong", async () => {
  await writeFile(at("damaged.json"), '{"format":"clip-ts evaluation 1","results":[{"kind":');
  await writeFile(at("other.json"), '{"format":"something else"}');
  for (const [args, message] of [
    [[at("one.json"), at("damaged.json")], "damaged.json: is no JSON"],
    [[at("one.json"), at("other.json")], "other.json: is no file of results"],
    [[at("one.json"), at("none.json")], "none.json: there is no such file"],
    [[at("one.json")], "expected two runs or more, got 1"],
    [[at("one.json"), at("two.json"), "--html", at("no/such/folder.html")], "no/such/folder.html"],
  ] as const) {
    const { status, out, err } = await run(["compare", ...args]);
    expect(status, err).toBe(1);
    expect(out).toBe("");
    expect(err.trim().split("\n")).toHaveLength(1);
    expect(err).toContain(message);
  }
});
