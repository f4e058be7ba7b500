/** The process that tries one thing and says what came of it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Engine } from "../engine/engine.ts";
import { add, hostTensor, mul, trace } from "../graph/index.ts";
import type { Device, Found, Outcome, Trial } from "./probe.ts";

process.once("message", (trial: Trial) => {
  tried(trial).then(
    (found) => answer({ works: true, ...found }),
    (error) => answer({ works: false, problem: lineOf(error) }),
  );
});

const answer = (outcome: Outcome): void => void process.send?.(outcome);

/** onnxruntime says first where in its sources a condition did not hold. */
const lineOf = (error: unknown): string => {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  return line.replace(/^\S+\.cc:\d+ .* was false\. /, "").trim() || "fails without a word";
};

async function tried(trial: Trial): Promise<Found> {
  if (trial.kind === "plugin") return plugin(trial);
  if (trial.kind === "sharp") {
    const { loadSharp } = await import("../image/sharp.ts");
    const sharp = await loadSharp();
    await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
      .jpeg()
      .toBuffer();
    return { versions: { sharp: sharp.versions.sharp ?? "", libvips: sharp.versions.vips ?? "" }, devices: [] };
  }
  if (trial.engine === "reference") {
    const { createReferenceEngine } = await import("../engine/reference/reference-engine.ts");
    await computes(createReferenceEngine());
    return { versions: {}, devices: [] };
  }
  const { createOnnxEngine } = await import("../engine/onnx/onnx-engine.ts");
  await computes(
    await createOnnxEngine({ executionProvider: trial.engine === "onnx" ? "cpu" : "webgpu", cache: false }),
  );
  return { versions: { onnxruntime: installedVersion("onnxruntime-node") }, devices: [] };
}

async function plugin({ path, preload, flags }: Extract<Trial, { readonly kind: "plugin" }>): Promise<Found> {
  const { createPjrtEngine } = await import("../engine/pjrt/pjrt-engine.ts");
  const { loadPlugin } = await import("../engine/pjrt/plugin.ts");
  const { Client } = await import("../engine/pjrt/client.ts");
  const loaded = await loadPlugin(path, preload);
  await computes(await createPjrtEngine({ plugin: path, preload, flags, cache: false }));
  const attributes = loaded.has("Plugin_Attributes") ? loaded.attributes() : {};
  const stablehlo = attributes.stablehlo_current_version;
  const client = new Client(loaded);
  const devices = client.devices.map((device): Device => {
    const memory = client.memory(device);
    return { id: device.id, kind: device.kind, ...(memory?.hasLimit ? { memory: memory.limit } : {}) };
  });
  const versions = {
    platform: client.platform,
    pjrt: loaded.version.join("."),
    ...(Array.isArray(stablehlo) ? { stablehlo: stablehlo.join(".") } : {}),
    ...(attributes.xla_version === undefined ? {} : { xla: String(attributes.xla_version) }),
    koffi: (await import("koffi")).default.version,
  };
  return { versions, devices };
}

/** Compiles and runs something small. @throws if it cannot, or the numbers are wrong */
async function computes(engine: Engine): Promise<void> {
  const graph = trace({ x: { dtype: "f32", shape: [3] } }, ({ x }) => ({ y: add(mul(x, x), 1) }));
  const program = await engine.compile(graph);
  const { y } = await program.run({ x: hostTensor("f32", [3], Float32Array.of(1, 2, 3)) });
  await engine.close();
  const found = Array.from(y?.data ?? [], Number);
  if (found.join() !== "2,5,10") throw new Error(`computes [${found}], expected [2,5,10]`);
}

function installedVersion(name: string): string {
  const text = readFileSync(createRequire(import.meta.url).resolve(`${name}/package.json`), "utf8");
  return /"version"\s*:\s*"([^"]+)"/.exec(text)?.[1] ?? "";
}
