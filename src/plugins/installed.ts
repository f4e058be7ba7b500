/** Plugins that `clip-ts engine install` unpacked: a folder each, which is whole or not there. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { cacheFolder } from "../cache/index.ts";
import { PLUGIN_NAMES, type PluginName } from "./wheels.ts";

/** Says what a folder holds; in it before the folder has its name. */
export const MANIFEST = "plugin.json";

/** Where wheels are until they are unpacked, so that a download can go on. */
export const WHEELS = ".wheels";

const manifestSchema = z.object({
  name: z.enum(PLUGIN_NAMES),
  version: z.string(),
  wheels: z.array(z.object({ package: z.string(), version: z.string(), sha256: z.string(), licence: z.string() })),
});
export type Manifest = z.infer<typeof manifestSchema>;

export interface InstalledPlugin extends Manifest {
  /** Laid out as Python's site-packages. */
  readonly folder: string;
}

/** Where plugins stand: beside the other caches. */
export const pluginsFolder = (): string => join(cacheFolder(), "plugins");

/** In the order of the names; at most one of each. */
export async function installedPlugins(root: string = pluginsFolder()): Promise<InstalledPlugin[]> {
  const found: InstalledPlugin[] = [];
  for (const entry of await readdir(root).catch(() => [])) {
    if (!PLUGIN_NAMES.some((name) => name === entry)) continue;
    const folder = join(root, entry);
    const manifest = await readFile(join(folder, MANIFEST), "utf8").then(parsed, () => undefined);
    if (manifest?.name === entry) found.push({ ...manifest, folder });
  }
  return found.sort((a, b) => PLUGIN_NAMES.indexOf(a.name) - PLUGIN_NAMES.indexOf(b.name));
}

export const installedPlugin = async (name: PluginName, root: string): Promise<InstalledPlugin | undefined> =>
  (await installedPlugins(root)).find((plugin) => plugin.name === name);

function parsed(text: string): Manifest | undefined {
  try {
    return manifestSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** @returns whether there was one */
export async function removePlugin(name: PluginName, root: string = pluginsFolder()): Promise<boolean> {
  const there = await installedPlugin(name, root);
  for (const folder of [join(root, name), join(root, WHEELS, name)]) await rm(folder, { recursive: true, force: true });
  return there !== undefined;
}
