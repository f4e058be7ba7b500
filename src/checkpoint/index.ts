export { writeFileAtomic } from "./atomic-write.ts";
export { type BytesSource, fileSource, memorySource } from "./bytes-source.ts";
export { checkShapes, inferConfig } from "./infer-config.ts";
export { readMetadata } from "./metadata.ts";
export {
  type ConfigSource,
  type ModelFile,
  openModel,
  type ReadModelOptions,
  readModel,
  type StoredModel,
  writeModel,
} from "./model-file.ts";
export { type Assembly, namingOf, prefixOf, type Translation, toOfficial, toStored } from "./naming.ts";
export { NAMINGS, type Naming, type NamingKind, type NamingRule, type StoredPart } from "./namings.ts";
export { openTensors } from "./open-tensors.ts";
export { manifestPath, openPieces, type TensorPiece, writeManifest, writePieces } from "./pieces.ts";
export { openSafetensors, readSafetensors } from "./safetensors.ts";
export { type StreamedTensor, storedSize, streamSafetensors } from "./safetensors-stream.ts";
export { writeSafetensors } from "./safetensors-write.ts";
export { openSharded } from "./sharded.ts";
export { CONFIG_KEY, clipConfigSchema } from "./stored-config.ts";
export type { StoredDType } from "./stored-dtypes.ts";
export { type OfficialSource, storedTensors } from "./stored-tensors.ts";
export type { BoxFile, TensorFile, TensorFormat, TensorInfo } from "./tensor-file.ts";
