import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSafetensors } from "../../src/checkpoint/index.ts";
import type { HostTensor } from "../../src/graph/index.ts";
import { checkpointPath, checkpointSteps, readMetrics, reportPath } from "../../src/train/run-folder.ts";
import { drawPairs, MICRO_VIT, microRecipe } from "../train/micro.ts";
import { type Outcome, run, start, until } from "./command.ts";

let place: string;
let table: string;
let recipe: string;
/** How two runs ended that several tests look at: one never stopped, one made from flags. */
let whole: Outcome;
let flagged: Outcome;
const STEPS = 400;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-cli-"));
  table = await drawPairs(join(place, "pairs"));
  recipe = join(place, "micro.json");
  await writeFile(recipe, JSON.stringify(microRecipe(table, { steps: STEPS, checkpointEvery: 100 })));
  whole = await train(out("whole")).outcome;
  const flags = ["--table", table, "--image-column", "file", "--caption-column", "text", "--vocab", "600"];
  const sizes = ["--model", "emoji-vit", "--batch", "8", "--micro-batch", "4", "--steps", "2", "--threads", "1"];
  flagged = await run(["train", ...flags, ...sizes, "--out", out("flags")]);
});
afterAll(() => rm(place, { recursive: true }));

const bytesOf = (tensors: ReadonlyMap<string, HostTensor>, name: string): Uint8Array => {
  const { data } = tensors.get(name) ?? { data: new Uint8Array() };
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
};

const out = (name: string): string => join(place, name);
const train = (folder: string) => start(["train", recipe, "--out", folder, "--threads", "1"]);
const resume = (folder: string) => run(["train", "--resume", folder, "--threads", "1"]);

describe("clip-ts train", () => {
  it("goes on after ctrl-C and after kill -9, and ends with the bytes of a run that was never stopped", async () => {
    expect(whole, whole.err).toMatchObject({ status: 0 });
    expect(whole.err).toContain(`${STEPS}/${STEPS}`);
    expect(whole.err).toContain(`report: ${reportPath(out("whole"))}`);

    const stopped = train(out("stopped"));
    await until(async () => (await readMetrics(out("stopped"))).length > 20, stopped);
    stopped.kill("SIGINT");
    const interrupted = await stopped.outcome;
    expect(interrupted, interrupted.err).toMatchObject({ status: 130 });
    expect(interrupted.err).toContain(`go on with: clip-ts train --resume ${out("stopped")}`);
    const [saved] = await checkpointSteps(out("stopped"));
    expect(saved).toBe((await readMetrics(out("stopped"))).length);
    expect(existsSync(reportPath(out("stopped")))).toBe(true);

    const killed = start(["train", "--resume", out("stopped"), "--threads", "1"]);
    await until(async () => (await checkpointSteps(out("stopped"))).some((step) => step >= 100), killed);
    killed.kill("SIGKILL");
    expect((await killed.outcome).status).toBe("SIGKILL");
    expect((await checkpointSteps(out("stopped"))).at(-1)).toBeGreaterThanOrEqual(100);

    expect(await resume(out("stopped"))).toMatchObject({ status: 0 });
    const [one, other] = await Promise.all(
      [out("whole"), out("stopped")].map((f) => readFile(checkpointPath(f, STEPS))),
    );
    expect(one && other && Buffer.compare(one, other)).toBe(0);
    expect((await readMetrics(out("stopped"))).map(({ step }) => step)).toEqual(
      Array.from({ length: STEPS }, (_, i) => i + 1),
    );
  });

  it("writes a report that needs no other file", async () => {
    const page = await readFile(reportPath(out("whole")), "utf8");
    expect(page.match(/<polyline points="[\d., ]+"/g)?.length).toBe(4);
    expect(page.match(/<img src="data:image\/png;base64,[\w+/=]+"/g)?.length).toBeGreaterThan(12);
    expect(page).not.toMatch(/(src|href)="(?!data:)/);
    expect(page).not.toContain("NaN");
    const [cosines] = page.match(/<table class="matrix">.*<\/table>/s) ?? [];
    expect(cosines?.match(/<td[^>]*>-?\d\.\d\d<\/td>/g)?.length).toBe((cosines?.match(/<img/g)?.length ?? 0) ** 2);
  });

  it("quits at once at the second ctrl-C", async () => {
    const command = train(out("twice"));
    await until(async () => (await readMetrics(out("twice"))).length > 2, command);
    command.kill("SIGINT");
    command.kill("SIGTERM");
    expect((await command.outcome).status).toMatch(/^SIG(INT|TERM)$/);
  });

  it("takes data and sizes from flags", async () => {
    expect(flagged, flagged.err).toMatchObject({ status: 0 });
    const config = JSON.parse(await readFile(join(out("flags"), "config.json"), "utf8"));
    expect(config.recipe).toMatchObject({
      batch: 8,
      microBatch: 4,
      steps: 2,
      source: { kind: "table", imageColumn: "file" },
    });
    expect(config.model.vision).toMatchObject({ kind: "vit", patchSize: 8 });
    expect(config.model.text.vocabSize).toBeLessThanOrEqual(600);
  });

  it("starts from a model and leaves a tower as it is", async () => {
    const flags = ["--from", out("flags"), "--lock", "image", "--steps", "1", "--threads", "1"];
    const { status, err } = await run(["train", recipe, ...flags, "--out", out("tuned")]);
    expect(status, err).toBe(0);
    const { recipe: kept, model } = JSON.parse(await readFile(join(out("tuned"), "config.json"), "utf8"));
    expect(kept).toMatchObject({ from: out("flags"), lock: "image", tokenizer: { kind: "from" }, learningRate: 3e-5 });
    expect(model.vision).toMatchObject({ kind: "vit", patchSize: 8 });
    const [before, after] = [checkpointPath(out("flags"), 2), checkpointPath(out("tuned"), 1)];
    const [old, tuned] = [await readSafetensors(before), await readSafetensors(after)];
    const same = (name: string): boolean => Buffer.compare(bytesOf(old, name), bytesOf(tuned, name)) === 0;
    expect(same("visual.proj")).toBe(true);
    expect(same("text_projection")).toBe(false);
  });

  it("finds its data from any folder, and where run and data were moved together", async () => {
    const project = join(place, "project");
    await drawPairs(join(project, "pairs"));
    await writeFile(join(project, "own.json"), JSON.stringify(microRecipe("pairs/pairs.csv", { steps: 1 })));
    const from = (cwd: string, ...args: string[]) => start(["train", ...args, "--threads", "1"], "", cwd).outcome;
    expect(await from(project, "own.json", "--out", "runs/own")).toMatchObject({ status: 0 });
    await rename(project, join(place, "moved"));
    expect(await from(join(place, "pairs"), "--resume", "../moved/runs/own")).toMatchObject({ status: 0 });
    // A recipe's paths are from where it stands.
    expect(await from(join(place, "pairs"), "../moved/own.json", "--out", "../beside")).toMatchObject({ status: 0 });
    // Runs of before did not keep from where their paths are: from the current folder.
    const config = join(place, "moved", "runs", "own", "config.json");
    const { paths, ...before } = JSON.parse(await readFile(config, "utf8"));
    expect(paths).toBe("../..");
    await writeFile(config, JSON.stringify(before));
    expect(await from(join(place, "moved"), "--resume", "runs/own")).toMatchObject({ status: 0 });
    expect(await from(join(place, "pairs"), "--resume", "../moved/runs/own")).toMatchObject({
      status: 1,
      err: expect.stringContaining("pairs/pairs.csv: there is no such file"),
    });
  });

  const refusals: readonly (readonly [what: string, args: () => readonly string[], says: RegExp])[] = [
    ["an unknown recipe", () => ["emoji-x"], /no recipe and no file emoji-x; recipes: emoji-s, emoji-vit, emoji-l/],
    ["no recipe and no data", () => [], /name a recipe, or data with --table or --folder/],
    ["an unknown flag", () => ["emoji-s", "--epocs", "3"], /unknown option '--epocs'/],
    [
      "a number that is none",
      () => ["emoji-s", "--steps", "many"],
      /'--steps <n>'.*'many' is invalid. expected a whole number above 0/,
    ],
    ["an unknown model", () => ["emoji-s", "--model", "ViT-Z"], /--model: expected one of RN50, .*, got ViT-Z/],
    [
      "a micro-batch that does not divide",
      () => [recipe, "--micro-batch", "3"],
      /microBatch: expected a divisor of the batch of 8, got 3/,
    ],
    ["a table without the column", () => ["--table", table, "--image-column", "file"], /pairs\.csv.*caption/],
    ["a table that is not there", () => ["--table", join(place, "no.csv")], /no\.csv/],
    ["an empty folder", () => ["--folder", place], /clip-ts-cli-/],
    [
      "an existing run",
      () => [recipe, "--out", out("whole")],
      /holds a run already; go on with it \(clip-ts train --resume/,
    ],
    ["a folder that is no run", () => ["--resume", place], /is no run folder/],
    ["a start that is no model", () => [recipe, "--from", place], /clip-ts-cli-/],
    [
      "a start and another architecture",
      () => [recipe, "--from", out("flags"), "--model", "RN50"],
      /--from: the model decides architecture and vocabulary/,
    ],
    ["a recipe and a table", () => ["emoji-s", "--table", table], /--table: the recipe emoji-s says what it trains on/],
    ["a table and a folder", () => ["--table", table, "--folder", place], /--table and --folder: expected one/],
    [
      "a column without a table",
      () => ["--folder", place, "--caption-column", "text"],
      /--caption-column: is of a table/,
    ],
    [
      "other steps where a run goes on",
      () => ["--resume", out("whole"), "--steps", "9"],
      /by its own recipe.* --steps would/,
    ],
    [
      "another recipe where a run goes on",
      () => ["emoji-s", "--resume", out("whole")],
      /by its own recipe.* emoji-s would/,
    ],
    ["an unknown tower", () => [recipe, "--lock", "both"], /Allowed choices are image, text/],
  ];
  it.each(refusals)("refuses %s in one line", async (_, args, says) => {
    const given = args();
    const named = given.includes("--out") || given.includes("--resume") ? given : [...given, "--out", out("never")];
    const { status, err } = await run(["train", ...named]);
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: [^\n]+\n$/);
    expect(err).toMatch(says);
    expect(existsSync(out("never"))).toBe(false);
  });

  it("refuses a recipe file that is wrong, naming the entry", async () => {
    const wrong = async (changes: object): Promise<string> => {
      const path = join(place, "wrong.json");
      await writeFile(path, JSON.stringify({ ...microRecipe(table), ...changes }));
      const { status, err } = await run(["train", path, "--out", out("never")]);
      expect(status).toBe(1);
      return err;
    };
    expect(await wrong({ steps: -1 })).toMatch(/wrong\.json: steps: /);
    expect(await wrong({ stepz: 3 })).toMatch(/wrong\.json: Unrecognized key: "stepz"/);
    expect(await wrong({ templates: ["no place"] })).toMatch(
      /wrong\.json: templates\.0: expected \{\} where the label goes/,
    );
    expect(await wrong({ model: { ...MICRO_VIT, imageSize: 15 } })).toMatch(
      /patchSize \(4\) does not divide imageSize \(15\)/,
    );
  });

  it("names the recipe in JavaScript that fails", async () => {
    const path = join(place, "fails.mjs");
    await writeFile(path, 'throw new Error("no such thing");\n');
    expect(await run(["train", path])).toEqual({ status: 1, out: "", err: `clip-ts: ${path}: no such thing\n` });
  });

  it("leaves nothing behind where no picture can be read", async () => {
    const broken = join(place, "broken");
    await mkdir(broken);
    await writeFile(join(broken, "a.png"), "no picture");
    await writeFile(join(broken, "pairs.csv"), "image,caption\na.png,hello\n");
    const args = ["--table", join(broken, "pairs.csv"), "--batch", "1", "--steps", "2", "--out", out("never")];
    const { status, err } = await run(["train", ...args]);
    expect(status).toBe(1);
    expect(err).toMatch(/clip-ts: [^\n]+: none of its 1 pictures can be read; the first: a\.png [^\n]+\n$/);
    expect(existsSync(out("never"))).toBe(false);
  });

  it("trains from a recipe in JavaScript", async () => {
    const path = join(place, "micro.mjs");
    await writeFile(path, `export default ${JSON.stringify(microRecipe(table, { steps: 1 }))};\n`);
    expect(await run(["train", path, "--out", out("js"), "--threads", "1"])).toMatchObject({ status: 0 });
  });
});
