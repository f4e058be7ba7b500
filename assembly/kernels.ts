/** What `kernels.wasm` exports. */
export { toRgb } from "./colour";
export { toFloats } from "./floats";
export { decodeScan, unstuff } from "./jpeg";
export { acrossFour, acrossRgb, down } from "./resample";
