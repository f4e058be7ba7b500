import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { whyNoDevice } from "./test/webgpu/device.ts";

const missing = await whyNoDevice();
if (missing)
  console.warn(`The WebGPU suite is skipped, since onnxruntime finds no device (Vulkan) here.\n${missing}\n`);

/** The conformance suite once more, on another list of engines, and what is the device's own. */
export default defineConfig({
  resolve: { alias: [{ find: /^\.\/engines\.ts$/, replacement: resolve("test/webgpu/engines.ts") }] },
  test: {
    include: missing ? [] : ["test/engine/conformance/*.test.ts", "test/webgpu/*.webgpu.ts"],
    passWithNoTests: true,
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
