/** classify and eval on a model trained here on 24 drawings. */

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIP } from "../../src/clip.ts";
import { readResults } from "../../src/eval/result.ts";
import { COLOURS, drawPairs, microRecipe } from "../train/micro.ts";
import { MAIN, run, start } from "./command.ts";

let place: string;
let model: string;
let pictures: string;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "clip-ts-use-"));
  pictures = join(place, "pairs");
  const table = await drawPairs(pictures);
  model = join(place, "model");
  const recipe = microRecipe(table, { steps: 200, batch: 12, checkpointEvery: 200 });
  await writeFile(join(place, "micro.json"), JSON.stringify(recipe));
  const { status, err } = await run(["train", join(place, "micro.json"), "--out", model, "--threads", "1"]);
  expect(status, err).toBe(0);
});
afterAll(() => rm(place, { recursive: true }));

const classify = (args: readonly string[], input?: string) =>
  run(["classify", "--model", model, "--threads", "1", ...args], input);
/** What tells onnxruntime that it is on a build server. */
const BUILD_SERVERS =
  "CI TF_BUILD GITHUB_ACTIONS GITLAB_CI CIRCLECI TRAVIS JENKINS_URL CODEBUILD_BUILD_ID BUILDKITE TEAMCITY_VERSION APPVEYOR BITBUCKET_BUILD_NUMBER".split(
    " ",
  );
const CIRCLES = Object.keys(COLOURS).map((colour) => `${colour} circle`);

interface Line {
  readonly image: string;
  readonly predictions: readonly {
    readonly label: string;
    readonly probability: number;
    readonly similarity: number;
  }[];
}
const lines = (out: string): Line[] =>
  out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe("clip-ts classify", () => {
  it("names drawings, as the library does, with labels from flag, file and standard input alike", async () => {
    const paths = Object.keys(COLOURS).map((colour) => join(pictures, `${colour}-circle.png`));
    const file = join(place, "labels.txt");
    await writeFile(file, `${CIRCLES.join("\r\n")}\n\n`);
    const [fromFlag, fromFile, fromInput] = await Promise.all([
      classify([...paths, "--json", "--labels", CIRCLES.join(", ")]),
      classify([...paths, "--json", "--labels-file", file]),
      classify([...paths, "--json", "--labels-file", "-"], CIRCLES.join("\n")),
    ]);
    expect(fromFlag, fromFlag.err).toMatchObject({ status: 0, err: "" });
    expect(fromFile.out).toBe(fromFlag.out);
    expect(fromInput.out).toBe(fromFlag.out);
    const found = lines(fromFlag.out);
    expect(found.map(({ image }) => image)).toEqual(paths);
    const right = found.filter(({ predictions }, i) => predictions[0]?.label === CIRCLES[i]);
    expect(right.length).toBeGreaterThanOrEqual(5);
    const clip = await CLIP.load(model, { threads: 1 });
    for (const { image, predictions } of found) {
      expect(predictions.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 6);
      const own = await clip.classify(image, CIRCLES);
      for (const [i, { label, similarity }] of own.entries()) {
        expect(predictions[i]?.label).toBe(label);
        expect(predictions[i]?.similarity).toBeCloseTo(similarity, 5);
      }
    }
    await clip.close();
  });

  it("answers none of these below the threshold", async () => {
    const picture = join(pictures, "red-circle.png");
    const { out } = await classify([picture, "--labels", CIRCLES.join(","), "--threshold", "0.999", "--json"]);
    expect(lines(out)[0]?.predictions[0]).toMatchObject({ label: "none of these", similarity: 0.999 });
    const low = await classify([picture, "--labels", CIRCLES.join(","), "--threshold", "-1", "--json"]);
    expect(lines(low.out)[0]?.predictions.at(-1)).toMatchObject({ label: "none of these", similarity: -1 });
  });

  it("prints a short list, and takes a folder of pictures and other prompts", async () => {
    const { out, status } = await classify([
      pictures,
      "--labels",
      CIRCLES.join(","),
      "--top",
      "2",
      "--template",
      "the {}",
    ]);
    expect(status).toBe(0);
    expect(
      out.match(/\.png\n {2}[ \d.]+ % {2}[ \d.-]+ {2}\w+ circle\n {2}[ \d.]+ % {2}[ \d.-]+ {2}\w+ circle\n/g)?.length,
    ).toBe(24);
  });

  const refusals: readonly (readonly [what: string, args: () => readonly string[], says: RegExp])[] = [
    ["no labels", () => [join(pictures, "red-bar.png")], /name the labels with --labels or --labels-file/],
    [
      "two lists of labels",
      () => [join(pictures, "red-bar.png"), "--labels", "a", "--labels-file", "b.txt"],
      /'--labels <a,b,...>' cannot be used with option '--labels-file <file>'/,
    ],
    ["empty labels", () => [join(pictures, "red-bar.png"), "--labels", " , "], /--labels: expected labels, got none/],
    [
      "a labels file that is not there",
      () => [join(pictures, "red-bar.png"), "--labels-file", "/no/labels.txt"],
      /labels file \/no\/labels\.txt: there is no such file/,
    ],
    [
      "a picture that is not there",
      () => ["/no/picture.png", "--labels", "a"],
      /\/no\/picture\.png: there is no such file/,
    ],
    ["a corrupt picture", () => [join(place, "corrupt.png"), "--labels", "a"], /corrupt\.png: cannot be decoded/],
    [
      "a folder without pictures",
      () => [join(place, "empty"), "--labels", "a"],
      /empty: there are no pictures in this folder/,
    ],
    [
      "a threshold that is no cosine",
      () => [join(pictures, "red-bar.png"), "--labels", "a", "--threshold", "2"],
      /expected a cosine similarity from -1 to 1/,
    ],
    [
      "an unknown set of prompts",
      () => [join(pictures, "red-bar.png"), "--labels", "a", "--template", "imagenet"],
      /prompts: expected one of bare, .*, got imagenet/,
    ],
  ];
  it.each(refusals)("refuses %s in one line", async (_, args, says) => {
    await mkdir(join(place, "empty"), { recursive: true });
    const whole = await readFile(join(pictures, "red-bar.png"));
    await writeFile(join(place, "corrupt.png"), whole.subarray(0, whole.length / 2));
    const { status, err, out } = await classify(args());
    expect(out).toBe("");
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: [^\n]+\n$/);
    expect(err).toMatch(says);
  });

  it("goes on behind a picture that is none, says which, and ends with status 1", async () => {
    const none = join(place, "none.png");
    await writeFile(none, "no picture");
    const [first, last] = ["red-circle.png", "blue-circle.png"].map((name) => join(pictures, name)) as [string, string];
    const { out, err, status } = await classify([first, none, last, "--labels", CIRCLES.join(","), "--json"]);
    expect(status).toBe(1);
    expect(err).toMatch(/^clip-ts: [^\n]*none\.png: cannot be decoded: [^\n]+\n$/);
    const found = lines(out);
    expect(found.map(({ image }) => image)).toEqual([first, none, last]);
    expect(found[1]).toMatchObject({ error: expect.stringMatching(/none\.png: cannot be decoded/) });
    const only = await classify([none, "--labels", "a", "--json"]);
    expect(lines(only.out)).toEqual([{ image: none, error: expect.stringContaining("cannot be decoded") }]);
    const alone = lines((await classify([last, "--labels", CIRCLES.join(","), "--json"])).out);
    for (const [i, { similarity }] of (alone[0]?.predictions ?? []).entries())
      expect(found[2]?.predictions[i]?.similarity).toBeCloseTo(similarity, 5);
  });

  it("ends without a word where its reader has seen enough, and does its work where nobody reads its messages", async () => {
    // Paths so long that what is said fits into no buffer: the command cannot end before its reader does.
    const many = join(place, ...Array<string>(12).fill("x".repeat(250)));
    await mkdir(many, { recursive: true });
    for (let i = 0; i < 150; i++) {
      await writeFile(join(many, `a${i}.png`), "no picture");
      await cp(join(pictures, "red-circle.png"), join(many, `b${i}.png`));
    }
    const asked = ["classify", "--model", model, "--threads", "1", many, "--labels", CIRCLES.join(",")];
    const [cut, silent] = [start(asked), start(asked)];
    cut.hangUp("stdout");
    silent.hangUp("stderr");
    expect((await cut.outcome).status).toBe(0);
    const { status, out } = await silent.outcome;
    expect([status, out.match(/b\d+\.png\n/g)?.length]).toEqual([1, 150]);
  });

  it.runIf(existsSync("/dev/full"))("says in one line that what it prints cannot be written", async () => {
    const file = openSync("/dev/full", "w");
    const child = spawnSync(process.execPath, [MAIN, "tokenize", "a"], { stdio: ["ignore", file, "pipe"] });
    closeSync(file);
    expect(child.status).toBe(1);
    expect(child.stderr.toString()).toMatch(/^clip-ts: standard output: ENOSPC[^\n]+\n$/);
  });

  // With "0", onnxruntime's builds for Linux show what its traces look like, except on what they take for a build server.
  it.runIf(process.platform === "linux")(
    "leaves onnxruntime's telemetry off, unless the user says otherwise",
    async ({ skip }) => {
      const elsewhere = Object.fromEntries(BUILD_SERVERS.map((name) => [name, undefined]));
      const traces = async (home: string, said: string | undefined): Promise<string[]> => {
        await mkdir(home);
        const places = { HOME: home, TMPDIR: home, XDG_CACHE_HOME: join(home, "cache") };
        const own = { ...places, ORT_DISABLE_TELEMETRY: said };
        const args = ["classify", "--model", model, "--threads", "1", join(pictures, "red-bar.png"), "--labels", "a"];
        const { status, err } = await start(args, "", undefined, { ...process.env, ...elsewhere, ...own }).outcome;
        expect(status, err).toBe(0);
        return (await readdir(home, { recursive: true })).filter((path) => /microsoft|mat-debug/i.test(path));
      };
      expect(await traces(join(place, "home"), undefined)).toEqual([]);
      const asked = await traces(join(place, "other-home"), "0");
      skip(asked.length === 0, "onnxruntime leaves no traces on this machine, even where it is asked to");
    },
  );

  it("takes long labels as they are to be taken", async () => {
    const picture = join(pictures, "red-circle.png");
    const args = [picture, "--labels", `red circle,${"blue square ".repeat(20)}`, "--json"];
    expect((await classify(args)).err).toMatch(/^clip-ts: tokenize: text 1 [^\n]+\n$/);
    for (const longText of ["truncate", "chunk"] as const) {
      const [found] = lines((await classify([...args, "--long-text", longText])).out);
      expect(found?.predictions[0]?.label).toBe("red circle");
    }
  });

  it("refuses a run folder of another version", async () => {
    const other = join(place, "other");
    await cp(model, other, { recursive: true });
    const config = join(other, "config.json");
    await writeFile(config, (await readFile(config, "utf8")).replace('"version": 1', '"version": 7'));
    const { status, err } = await run(["classify", join(pictures, "red-bar.png"), "--labels", "a", "--model", other]);
    expect(status).toBe(1);
    expect(err).toBe(`clip-ts: ${other}: a run folder of format version 7; this clip-ts reads version 1\n`);
  });
});

describe("clip-ts eval", () => {
  let folders: string;
  const args = (...more: readonly string[]): string[] => [
    "eval",
    model,
    "--threads",
    "1",
    "--cache",
    join(place, "cache"),
    ...more,
  ];
  beforeAll(async () => {
    folders = join(place, "classes");
    for (const colour of Object.keys(COLOURS)) {
      await mkdir(join(folders, colour), { recursive: true });
      for (const shape of ["circle", "square"])
        await cp(join(pictures, `${colour}-${shape}.png`), join(folders, colour, `${shape}.png`));
    }
    await writeFile(join(folders, "red", "broken.png"), "no picture");
  });

  it("counts as classify does, names what it cannot read, and keeps features and class weights", async () => {
    const [json, html, cache] = [join(place, "results.json"), join(place, "results.html"), join(place, "own-cache")];
    const template = "a {} circle, drawn";
    const outputs = ["--json", json, "--html", html, "--cache", cache];
    const command = args(`folder:${folders}`, "--template", template, "--per-class", ...outputs);
    const { out, err, status } = await run(command);
    expect(status, err).toBe(0);
    expect(err).toContain("1 pictures cannot be read and are in no figure");
    const [result] = await readResults(json);
    expect(result?.data).toMatchObject({ pictures: 13, unreadable: 1, classes: 6 });
    const names = Object.keys(COLOURS).sort();
    expect(result?.details?.classNames).toEqual(names);
    const all = Object.keys(COLOURS).flatMap((c) => ["circle", "square"].map((s) => join(folders, c, `${s}.png`)));
    const named = lines((await classify([...all, "--labels", names.join(","), "--template", template, "--json"])).out);
    const right = named.filter(({ image, predictions }) => image.includes(`/${predictions[0]?.label}/`)).length;
    const [top1] = result?.figures ?? [];
    expect(top1).toMatchObject({ name: "top-1", value: right / 12, samples: 12, unit: "share" });
    expect(out).toMatch(/label alone +\d/);
    for (const name of names) expect(out).toMatch(new RegExp(`^${name} +2 +\\d`, "m"));
    expect(await readFile(html, "utf8")).toMatch(/^<!doctype html>/i);
    const kept = await readdir(cache, { recursive: true });
    expect(kept.filter((name) => name.includes("class-weights/")).length).toBe(2);
    expect((await run(command)).out).toBe(out);
    expect(await readdir(cache, { recursive: true })).toEqual(kept);
  });

  it("takes a task of one's own, with names and metric", async () => {
    const [path, json] = [join(place, "own.json"), join(place, "own-results.json")];
    const test = { kind: "folder", folder: "classes" };
    const classNames = Object.keys(COLOURS).sort();
    await writeFile(path, JSON.stringify({ name: "colours", test, metric: "mean per class", classNames }));
    const { status, err } = await run(args(path, "--json", json, "--limit", "9", "--seed", "3"));
    expect(status, err).toBe(0);
    const [result] = await readResults(json);
    expect(result).toMatchObject({ task: "colours", seed: 3, data: { pictures: 9 } });
    expect(result?.figures.map(({ name }) => name)).toEqual(["mean per class", "top-1", "top-5"]);
  });

  it.each([
    [["folder:nowhere"], "nowhere: there is no such file or folder"],
    [["nonsense"], 'no task "nonsense": expected wds:, parquet:, idx:, cifar10:, cifar100:, table:, folder:'],
    [["imagenet", "--data", "nowhere"], "imagenet: its files are not here; expected in nowhere/imagenet"],
    [["own.yaml"], 'no task "own.yaml"'],
    [["digits", "--json", "nowhere/x.json"], "nowhere/x.json: cannot be written: nowhere is not there"],
    [["digits", "--shots", "3"], "--shots: is of few-shot, not of zero-shot"],
  ])("refuses %j in one line", async (said, message) => {
    const { status, err } = await run(args(...said));
    expect(status).toBe(1);
    expect(err.trim().split("\n").length).toBe(1);
    expect(err).toContain(`clip-ts: ${message}`);
  });

  it("refuses folders without classes in one line", async () => {
    const { status, err } = await run(args(`folder:${pictures}`));
    expect(status).toBe(1);
    expect(err).toBe(`clip-ts: ${pictures}: expected a folder of pictures for each class, got none\n`);
  });

  it("killed in the middle goes on where it was, to the same figures", async () => {
    const [json, other] = [join(place, "killed.json"), join(place, "whole.json")];
    const own = join(place, "killed-cache");
    const command = ["eval", model, "digits", "--template", "{}", "--threads", "1", "--json", json];
    const first = start([...command, "--cache", own]);
    const kept = async (): Promise<string[]> =>
      (await readdir(own, { recursive: true }).catch(() => [])).filter((name) => /\d{6}\.safetensors$/.test(name));
    while (first.running() && (await kept()).length === 0) await pause(5);
    first.kill("SIGKILL");
    expect((await first.outcome).status).toBe("SIGKILL");
    const before = (await kept()).length;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(4);
    const { status, err } = await run([...command, "--cache", own]);
    expect(status, err).toBe(0);
    expect((await kept()).length).toBe(4);
    await run([...command.slice(0, -1), other, "--cache", join(place, "fresh-cache")]);
    const [resumed, whole] = [await readResults(json), await readResults(other)];
    expect({ ...resumed[0], seconds: 0 }).toEqual({ ...whole[0], seconds: 0 });
  });

  it("lists the paper's data sets and the kinds without a model", async () => {
    const { status, out } = await run(["eval", "--list", "--data", "nowhere"]);
    expect(status).toBe(0);
    expect(out).toMatch(/^imagenet +accuracy +1000 +1281167 +50000 .*no: nowhere\/imagenet/m);
    expect(out).toMatch(/^zero-shot /m);
    expect(await run(["zeroshot", "--list", "--data", "nowhere"])).toEqual({ status, out, err: "" });
  });
});

it("says its version", async () => {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  expect(await run(["--version"])).toMatchObject({ status: 0, out: `${version}\n` });
});

it("shows examples with --help", async () => {
  for (const command of ["train", "classify", "eval", "quickstart", "embed", "tokenize", "preprocess", "explain"]) {
    const { status, out } = await run([command, "--help"]);
    expect(status).toBe(0);
    expect(out).toMatch(new RegExp(`Examples:\\n {2}clip-ts ${command}\\b`));
  }
});
