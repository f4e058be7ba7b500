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
    // A device checks no index: these expect an engine to refuse one outside a table. state.webgpu.ts has what happens instead.
    testNamePattern: /^(?!.*(with an index outside the table|stays as it was when a run fails))/,
    fileParallelism: false,
    testTimeout: 1_200_000,
    hookTimeout: 1_200_000,
  },
});
