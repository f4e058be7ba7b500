export { writeFileAtomic } from "./atomic-write.ts";
export { type BytesSource, fileSource, memorySource } from "./bytes-source.ts";
export { checkShapes, inferConfig } from "./infer-config.ts";
export { type ReadModelOptions, readModel, type StoredModel, writeModel } from "./model-file.ts";
export { openSafetensors, readSafetensors, type TensorFile } from "./safetensors.ts";
export type { StoredTensor } from "./safetensors-header.ts";
export { writeSafetensors } from "./safetensors-write.ts";
export type { StoredDType } from "./stored-dtypes.ts";
