import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { importsOf, problems } from "./imports.ts";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

function sources(): Map<string, string> {
  const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  return new Map(files.map((file) => [file.replaceAll("\\", "/"), readFileSync(join(SRC, file), "utf8")]));
}

const tree = (files: Readonly<Record<string, string>>): string[] => problems(new Map(Object.entries(files)));

describe("the sources", () => {
  it("import only what their room may, without cycles, in files of at most 400 lines with names that say something", () => {
    const files = sources();
    expect(files.size).toBeGreaterThan(50);
    expect(problems(files)).toEqual([]);
  });
});

describe("the check itself finds", () => {
  it("every way to import", () => {
    const text = `
import a from "./a.ts";
import type { B } from "../b.ts";
import {
  type C,
  type D,
} from "./c.ts";
import "./effect.ts";
export * from "./d.ts";
export type { E } from "./e.ts";
const f = await import("./f.ts");
type G = typeof import("sharp");
// import h from "./h.ts";
/* import i from "./i.ts"; */
const text = 'import j from "./j.ts"';
`;
    expect(importsOf("room/x.ts", text).map(({ to, kind }) => `${kind} ${to}`)).toEqual([
      "value room/a.ts",
      "type b.ts",
      "value room/c.ts",
      "value room/d.ts",
      "type room/e.ts",
      "value room/effect.ts",
      "dynamic room/f.ts",
      "dynamic sharp",
    ]);
  });

  it("arrows that the design does not have, also of types and dynamic ones", () => {
    const empty = {
      "graph/a.ts": "",
      "engine/engine.ts": "",
      "engine/onnx/x.ts": "",
      "model/m.ts": "",
      "cli/main.ts": "",
    };
    expect(tree({ ...empty, "model/n.ts": 'import type { Engine } from "../engine/engine.ts";\n' })).toEqual([
      "model/n.ts may not import engine/engine.ts",
    ]);
    expect(tree({ ...empty, "train/t.ts": 'const x = await import("../engine/onnx/x.ts");\n' })).toEqual([
      "train/t.ts may not import engine/onnx/x.ts",
    ]);
    expect(tree({ ...empty, "index.ts": 'export * from "./cli/main.ts";\n' })).toEqual([
      "index.ts may not import cli/main.ts",
    ]);
    expect(tree({ ...empty, "train/t.ts": 'import type { Engine } from "../engine/engine.ts";\n' })).toEqual([]);
  });

  it("cycles, of types too", () => {
    const files = {
      "graph/a.ts": 'import { b } from "./b.ts";\n',
      "graph/b.ts": 'import { c } from "./c.ts";\n',
      "graph/c.ts": 'import type { A } from "./a.ts";\n',
    };
    expect(tree(files)).toEqual(["cycle: graph/a.ts -> graph/b.ts -> graph/c.ts -> graph/a.ts"]);
  });

  it("native packages loaded at the top, long files, vague names, strangers", () => {
    expect(tree({ "image/a.ts": 'import sharp from "sharp";\n' })).toEqual([
      "image/a.ts loads sharp when it is itself loaded",
    ]);
    expect(tree({ "image/a.ts": 'import { type Sharp } from "sharp";\n' })).toHaveLength(1);
    expect(tree({ "image/a.ts": 'import type { Sharp } from "sharp";\nawait import("sharp");\n' })).toEqual([]);
    expect(tree({ "graph/a.ts": "\n".repeat(401) })).toEqual(["graph/a.ts has 401 lines, more than 400"]);
    expect(tree({ "graph/string-utils.ts": "" })).toEqual(["graph/string-utils.ts is not named for what it holds"]);
    expect(tree({ "odd/a.ts": "" })).toEqual(["odd/a.ts is in no room of the design"]);
    expect(tree({ "graph/a.ts": 'import "../../bench/b.ts";\n' })).toEqual([
      "graph/a.ts may not import ../bench/b.ts, outside src",
    ]);
    expect(tree({ "graph/a.ts": 'import "./gone.ts";\n' })).toEqual([
      "graph/a.ts imports graph/gone.ts, which is not there",
    ]);
  });
});
