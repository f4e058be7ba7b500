/** Where clip-ts keeps what it can make or fetch again: everything in it may be deleted at any time. */
import { homedir } from "node:os";
import { join } from "node:path";

/** `CLIP_TS_CACHE`, or `clip-ts` in `XDG_CACHE_HOME` or in the system's folder for caches. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  const { CLIP_TS_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = environment;
  if (CLIP_TS_CACHE) return CLIP_TS_CACHE;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, "clip-ts");
  if (platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "clip-ts", "Cache");
  return join(homedir(), platform === "darwin" ? "Library/Caches" : ".cache", "clip-ts");
}
