import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { text } from "node:stream/consumers";
import { Emitter } from "../../src/engine/onnx/emitter.ts";

/** The software driver of Debian's chromium: slow, but right. */
const SOFTWARE = "/usr/lib/chromium/vk_swiftshader_icd.json";

const PROBE = `
const ort = (await import("onnxruntime-node")).default;
const model = Buffer.from(process.argv[1], "base64");
await ort.InferenceSession.create(model, { executionProviders: ["webgpu"] });
`;

/** Why onnxruntime finds no WebGPU device; nothing if it finds one, which may be the software driver, now named in the environment. */
export async function whyNoDevice(): Promise<string | undefined> {
  const missing = await probe();
  const named = process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES;
  if (!missing || named || !existsSync(SOFTWARE)) return missing;
  process.env.VK_ICD_FILENAMES = SOFTWARE;
  return probe();
}

/** In a process of its own: a driver may end it. */
async function probe(): Promise<string | undefined> {
  const emit = new Emitter();
  const type = { dtype: "f32", shape: [1] } as const;
  emit.output("y", emit.node("Neg", [emit.input("x", type)]), type);
  const model = Buffer.from(emit.write()).toString("base64");
  const child = spawn(process.execPath, ["--input-type=module", "-e", PROBE, model], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [said, status] = await Promise.all([text(child.stderr), once(child, "close")]);
  if (status[0] === 0) return undefined;
  const line = said.split("\n").find((part) => part.startsWith("Error:"));
  return line ?? `the process that looked for one ended with ${status[0] ?? status[1]}: ${said.slice(-500)}`;
}
