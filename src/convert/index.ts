export { type Conversion, type ConvertOptions, convert } from "./convert.ts";
export type { Kernels } from "./onnx-export.ts";
export { TARGETS, type Target } from "./write-target.ts";
