/** The PJRT plugin that the suite runs on: the one that `--engine xla` would use. */
import { choosePlugin } from "../../src/plugins/index.ts";

const [plugin, missing] = await choosePlugin().then(
  ({ plugin }) => [plugin, undefined] as const,
  (error: Error) => [undefined, error.message] as const,
);

/** Why the suite cannot run here; undefined where it can. */
export function whyNoPlugin(): string | undefined {
  return missing;
}

export function pluginPath(): string {
  if (plugin === undefined) throw new Error(missing);
  return plugin;
}
