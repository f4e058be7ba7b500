import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drawPairs, microRecipe } from "../train/micro.ts";
import { start } from "./command.ts";

let place: string;
let recipe: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-cli-nodes-"));
  recipe = join(place, "micro.json");
  await writeFile(recipe, JSON.stringify(microRecipe(await drawPairs(join(place, "pairs")))));
});
afterAll(() => rm(place, { recursive: true }));

const several = ["--nodes", "2", "--node-id", "0", "--coordinator", "127.0.0.1:7411"];

describe("clip-ts train on several devices", () => {
  it.each([
    [
      "nodes alone",
      ["--nodes", "2"],
      "--nodes: say which of them this is (--node-id) and where node 0 listens (--coordinator",
    ],
    ["a node alone", ["--node-id", "1"], "--node-id, --coordinator and --bind are for several processes"],
    [
      "too high a node",
      ["--nodes", "2", "--node-id", "2", "--coordinator", "a:1"],
      "--node-id: of 2 nodes expected 0 to 1, got 2",
    ],
    [
      "no address",
      ["--nodes", "2", "--node-id", "0", "--coordinator", "here"],
      "coordinator: expected HOST:PORT, got here",
    ],
    ["a mesh on an engine of one device", ["--mesh", "data=2"], "--mesh: onnx computes on one device"],
    ["a mesh that is none", ["--mesh", "rows=2"], "mesh: expected axes like data=4,model=2"],
    ["no token", several, "several nodes need a secret that only they know: set CLIP_TS_NODES_TOKEN"],
  ])("refuses in one line: %s", async (_, flags, why) => {
    const { CLIP_TS_NODES_TOKEN: _token, ...env } = process.env;
    const out = join(place, "never");
    const { status, err } = await start(["train", recipe, "--out", out, ...flags], "", place, env).outcome;
    expect(status).toBe(1);
    expect(err).toContain(why);
    expect(err.trim().split("\n").length).toBe(1);
  });
});
