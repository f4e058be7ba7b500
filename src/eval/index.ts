export { classWeights } from "./class-weights.ts";
export { openClassFolders } from "./image-folder.ts";
export { TEMPLATES } from "./prompts.ts";
export { type ZeroShotResult, zeroShot } from "./zero-shot.ts";
