/** What the doctor says of machines that lack things, and of libraries that take the process with them. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DoctorOptions, diagnose } from "../../src/doctor/doctor.ts";
import { type Outcome, probe, type Trial } from "../../src/doctor/probe.ts";
import { start } from "../cli/command.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-doctor-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a trial in a process of its own", () => {
  const trial: Trial = { kind: "sharp" };
  const tried = async (code: string, patience?: number): Promise<Outcome> => {
    const worker = join(folder, "worker.mjs");
    await writeFile(worker, `process.once("message", (trial) => { ${code} });`);
    return probe(trial, patience, pathToFileURL(worker));
  };
  test("gives its answer, and its end where it gives none", async () => {
    const found = { works: true, versions: { a: "1" }, devices: [] };
    expect(await tried(`process.send(${JSON.stringify(found)});`)).toEqual(found);
    expect(await tried(`process.send({ works: false, problem: trial.kind });`)).toEqual({
      works: false,
      problem: "sharp",
    });
    const crash = await tried(`console.error("first\\nthe driver gave up"); process.kill(process.pid, "SIGSEGV");`);
    expect(crash).toEqual({ works: false, problem: "crashes (SIGSEGV): the driver gave up" });
    expect(await tried("process.exit(3)")).toEqual({ works: false, problem: "ends with status 3" });
    expect(await tried("setInterval(() => {}, 1000)", 400)).toEqual({
      works: false,
      problem: "does not answer in 0.4 seconds",
    });
  });

  test("loads a plugin that is none without harm", async () => {
    const path = join(folder, "pjrt_plugin.so");
    await writeFile(path, "no library");
    const outcome = await probe({ kind: "plugin", path, preload: [], flags: {} });
    expect(outcome.works).toBe(false);
    expect(outcome.works ? "" : outcome.problem).toMatch(/^pjrt: /);
  });
});

describe("a machine", () => {
  const nothing = { environment: { PATH: "" }, sitePackages: [], folder: "/nowhere" };
  const works = async (trial: Trial): Promise<Outcome> => ({
    works: true,
    versions: { tried: trial.kind },
    devices: [{ id: 0, kind: "cpu" }],
  });
  const parts = async (options: DoctorOptions) => {
    const { engines, libraries } = await diagnose(options);
    return Object.fromEntries([...engines, ...libraries].map((part) => [part.name, part]));
  };

  test("without anything: each thing has a line and the command that brings it", async () => {
    const fails = async (): Promise<Outcome> => ({ works: false, problem: "is not there" });
    const found = await parts({ ...nothing, probing: fails });
    expect(Object.keys(found)).toEqual(["onnx", "onnx-webgpu", "xla-cpu", "xla-cuda", "reference", "sharp"]);
    expect(found.sharp).toMatchObject({ works: false, problem: "is not there", bring: "npm install sharp" });
    expect(found.onnx).toMatchObject({ problem: "is not there", bring: "npm install onnxruntime-node" });
    expect(found["xla-cpu"]?.problem).toBe("no PJRT plugin");
    if (process.platform === "linux" && process.arch === "x64")
      expect(found["xla-cpu"]?.bring).toBe("clip-ts engine install cpu");
  });

  test("with plugins: those that are used are tried; a wrong PJRT_PLUGIN is told", async () => {
    const site = join(folder, "site");
    const path = join(site, "x_pjrt", "pjrt_c_api_cpu_plugin.so");
    await mkdir(join(site, "x_pjrt"), { recursive: true });
    await writeFile(path, "");
    const found = await parts({ ...nothing, sitePackages: [site], probing: works });
    expect(found["xla-cpu"]).toMatchObject({
      works: true,
      versions: { tried: "plugin" },
      plugin: { path, from: "python" },
    });
    const wrong = { ...nothing, environment: { PJRT_PLUGIN: join(folder, "gone") }, probing: works };
    expect((await parts(wrong)).xla).toMatchObject({ works: false, bring: "unset PJRT_PLUGIN" });
  });
});

test("clip-ts doctor: the status says whether the needed is there, also where no plugin is", async () => {
  const env = { PATH: "", HOME: folder, CLIP_TS_CACHE: join(folder, "cache") };
  const [plain, json] = await Promise.all([
    start(["doctor"], "", folder, env).outcome,
    start(["doctor", "--engine", "xla-tpu", "--json"], "", folder, env).outcome,
  ]);
  expect(plain).toMatchObject({ status: 0, err: "" });
  expect(plain.out).toMatch(/^clip-ts +\d+\.\d+\.\d+, Node \d+/);
  expect(plain.out).toMatch(/^onnx +works +onnxruntime \d/m);
  expect(plain.out).toMatch(/^sharp +works/m);
  expect(json).toMatchObject({ status: 1, err: "clip-ts: xla-tpu: is not here\n" });
  const told = JSON.parse(json.out);
  expect(told).toMatchObject({ needed: "xla-tpu", good: false, cache: { folder: join(folder, "cache") } });
  expect(told.memory.free).toBeGreaterThan(0);
  const [classify, install] = await Promise.all([
    start(["classify", "x.png", "--labels", "a", "--engine", "xla"], "", folder, env).outcome,
    start(["engine", "install", "cuda12"], "", folder, env).outcome,
  ]);
  expect(classify.status).toBe(1);
  expect(install).toMatchObject({ status: 1, out: "" });
  if (process.platform === "linux")
    expect(install.err).toMatch(
      /cuda12 [\d.]+: 13 wheels of [\d,]+ MB.*\n {2}Apache-2.0.*\n {2}LicenseRef-NVIDIA.*\nclip-ts: cuda12: not installed/,
    );
});
