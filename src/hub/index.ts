export { DownloadError } from "../download/index.ts";
export { cacheFolder } from "./cache.ts";
export { type HubName, OPENAI_MODELS, parseHubName } from "./name.ts";
export { modelPath } from "./resolve.ts";
export { type DownloadProgress, fetchModel, type HubOptions } from "./snapshot.ts";
