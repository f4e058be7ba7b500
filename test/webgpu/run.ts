/**
 * The WebGPU suite on a machine that has only Node, onnxruntime-node, onnx-buf and @bufbuild/protobuf:
 * `npx tsc -p test/webgpu` where the sources are, `node dist/webgpu/test/webgpu/run.js` where the device is.
 */
import { register } from "node:module";
import { whyNoDevice } from "./device.ts";

const missing = await whyNoDevice();
if (missing) {
  console.log(`Skipped, since onnxruntime finds no WebGPU device (Vulkan) here.\n${missing}`);
  process.exit(2);
}
register("./resolve.js", import.meta.url);
await import("../engine/conformance/conformance.test.ts");
await import("../engine/conformance/programs.test.ts");
await import("../engine/conformance/state.test.ts");
await import("../engine/conformance/training.test.ts");
await import("./fours.webgpu.ts");
await import("./halves.webgpu.ts");
await import("./state.webgpu.ts");
await import("./training.webgpu.ts");
const { runAll } = await import("./harness.ts");
const began = performance.now();
// A device checks no index.
const { passed, failed, skipped } = await runAll(/with an index outside the table|stays as it was when a run fails/);
const seconds = ((performance.now() - began) / 1000).toFixed(1);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`);
process.exit(failed === 0 ? 0 : 1);
