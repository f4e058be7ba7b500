/** The PJRT plugin that the suite runs on. */
export const PLUGIN = process.env.PJRT_PLUGIN;

/** Why the suite cannot run here; undefined where it can. */
export function whyNoPlugin(): string | undefined {
  if (PLUGIN) return undefined;
  return "PJRT_PLUGIN is not set: the path of a PJRT plugin, a shared library with GetPjrtApi.";
}

export function pluginPath(): string {
  if (!PLUGIN) throw new Error(whyNoPlugin());
  return PLUGIN;
}
