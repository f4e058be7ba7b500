export { cacheFolder } from "./folder.ts";
export { type SealedCache, type SealedFiles, sealedCache } from "./sealed-cache.ts";
