export {
  choosePlugin,
  type FindOptions,
  type FoundPlugin,
  findPlugins,
  hasDevice,
  type PluginPlatform,
} from "./find.ts";
export { downloadSize, type InstallOptions, installPlugin, releaseFor } from "./install.ts";
export { type InstalledPlugin, installedPlugins, pluginsFolder, removePlugin } from "./installed.ts";
export { PLUGIN_NAMES, type PluginName, type PluginRelease, pluginRelease, type Wheel } from "./wheels.ts";
