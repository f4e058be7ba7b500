/** What `kernels.wasm` exports. */
export { bilinear } from "./bilinear";
export { toRgb } from "./colour";
export { toFloats } from "./floats";
export { decodeScan, unstuff } from "./jpeg";
export { across, down } from "./resample";
