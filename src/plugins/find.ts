/** Which PJRT plugins this machine has: PJRT_PLUGIN, those that we installed, those of an installed JAX. Python is not run. */
import { existsSync } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { installedPlugins } from "./installed.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export const PLATFORMS = ["cuda", "tpu", "cpu", "other"] as const;
/** What a plugin computes on, as far as its file's name tells. */
export type PluginPlatform = (typeof PLATFORMS)[number];

/** What `createPjrtEngine` takes, and where it is from. */
export interface FoundPlugin {
  readonly platform: PluginPlatform;
  /** The path of the shared library. */
  readonly plugin: string;
  readonly from: "PJRT_PLUGIN" | "installed" | "python";
  /** The package it is of, with its version, where that is known. */
  readonly package?: string;
  /** Libraries that are opened before it, by their full paths. */
  readonly preload: readonly string[];
  /** XLA's flags that it needs, without dashes. */
  readonly flags: Readonly<Record<string, string>>;
  /** What its client is created with, where the environment says something. */
  readonly options?: Readonly<Record<string, boolean | { readonly float: number }>>;
}

export interface FindOptions {
  /** @default process.env */
  readonly environment?: Environment;
  /** Where `clip-ts engine install` puts them. */
  readonly folder?: string;
  /** Folders that are looked through as Python's site-packages. @default those of VIRTUAL_ENV, CONDA_PREFIX and python3 on PATH */
  readonly sitePackages?: readonly string[];
}

/**
 * All plugins, in the order in which they are taken: PJRT_PLUGIN, installed ones, Python's; of one origin GPUs before TPUs before CPUs.
 * @throws one line if PJRT_PLUGIN names no file, or a variable has no value that it may have
 */
export async function findPlugins(given: FindOptions = {}): Promise<FoundPlugin[]> {
  const { environment = process.env } = given;
  const found: FoundPlugin[] = [];
  const named = environment.PJRT_PLUGIN;
  if (named) {
    const status = await stat(named).catch(() => undefined);
    if (!status?.isFile()) throw new Error(`PJRT_PLUGIN: ${named} is no file, expected a plugin's shared library`);
    found.push(await described(await realpath(named), "PJRT_PLUGIN"));
  }
  for (const { folder, wheels } of await installedPlugins(given.folder)) {
    const [wheel] = wheels;
    for (const plugin of await pluginsIn(folder, "installed"))
      found.push(wheel ? { ...plugin, package: `${wheel.package} ${wheel.version}` } : plugin);
  }
  const sites = given.sitePackages ?? (await sitePackages(environment));
  for (const site of sites) found.push(...(await pluginsIn(site, "python")));
  const order = (plugin: FoundPlugin): number =>
    10 * ["PJRT_PLUGIN", "installed", "python"].indexOf(plugin.from) + PLATFORMS.indexOf(plugin.platform);
  const seen = new Set<string>();
  const options = gpuMemory(environment);
  return found
    .sort((a, b) => order(a) - order(b))
    .filter(({ plugin }) => !seen.has(plugin) && seen.add(plugin).size > 0)
    .map((plugin) => (plugin.platform === "cuda" && options ? { ...plugin, options } : plugin));
}

/** How much of a GPU's memory XLA takes, and whether at once: the variables that JAX has for it. @throws one line about a value */
function gpuMemory(environment: Environment): FoundPlugin["options"] {
  const { XLA_CLIENT_MEM_FRACTION: fraction, XLA_PYTHON_CLIENT_PREALLOCATE: preallocate } = environment;
  if (fraction && !(Number(fraction) > 0 && Number(fraction) <= 1))
    throw new Error(`XLA_CLIENT_MEM_FRACTION: expected a share above 0, at most 1, got ${fraction}`);
  if (preallocate && !/^(true|false|1|0)$/i.test(preallocate))
    throw new Error(`XLA_PYTHON_CLIENT_PREALLOCATE: expected true or false, got ${preallocate}`);
  if (!fraction && !preallocate) return undefined;
  return {
    ...(fraction && { memory_fraction: { float: Number(fraction) } }),
    ...(preallocate && { preallocate: /^(true|1)$/i.test(preallocate) }),
  };
}

/** What kind of plugin this machine has a device for. */
const DEVICES: Readonly<Record<PluginPlatform, readonly string[] | undefined>> = {
  cuda: ["/dev/nvidiactl", "/dev/dxg"],
  tpu: ["/dev/accel0", "/dev/vfio/0"],
  cpu: undefined,
  other: undefined,
};

/** Whether the device that a plugin is for seems to be there. */
export const hasDevice = (platform: PluginPlatform): boolean =>
  DEVICES[platform]?.some((path) => existsSync(path)) ?? true;

/**
 * The plugin to use: the first that this machine has a device for.
 * @param platform only one of these
 * @throws one line that says how to get one
 */
export async function choosePlugin(platform?: PluginPlatform, options?: FindOptions): Promise<FoundPlugin> {
  const found = (await findPlugins(options)).filter((plugin) => platform === undefined || plugin.platform === platform);
  const chosen =
    platform === undefined
      ? found.find((plugin) => plugin.from === "PJRT_PLUGIN" || hasDevice(plugin.platform))
      : found[0];
  if (chosen) return chosen;
  const bring = platform === "tpu" ? "pip install libtpu" : `clip-ts engine install ${installName(platform)}`;
  const what = platform === undefined ? "plugin" : `plugin for ${platform}`;
  throw new Error(`xla: no PJRT ${what} is found (PJRT_PLUGIN, ${bring}, or an installed JAX)`);
}

const installName = (platform: PluginPlatform = hasDevice("cuda") ? "cuda" : "cpu"): string =>
  platform === "cuda" ? "cuda12" : "cpu";

/** Packages that hold a plugin: JAX's entry point, TPUs', and those that have it in their name. */
const PACKAGE = /^(jax_plugins|libtpu|.*pjrt.*)$/;
const LIBRARY = /(^libtpu|pjrt|xla)[\w.]*\.(so|dylib|dll)$/;

/** Plugins of a folder that is laid out as site-packages. */
async function pluginsIn(site: string, from: FoundPlugin["from"]): Promise<FoundPlugin[]> {
  const found: FoundPlugin[] = [];
  for (const name of await names(site)) {
    if (!PACKAGE.test(name) || name.endsWith(".dist-info")) continue;
    const inside = await names(join(site, name));
    const below = name === "jax_plugins" ? inside.map((plugin) => join(site, name, plugin)) : [join(site, name)];
    for (const folder of below)
      for (const file of await names(folder)) {
        if (!LIBRARY.test(file)) continue;
        const path = await realpath(join(folder, file)).catch(() => undefined);
        if (path !== undefined) found.push(await described(path, from));
      }
  }
  return found;
}

const names = (folder: string): Promise<string[]> =>
  readdir(folder).then(
    (entries) => entries.sort(),
    () => [],
  );

async function described(path: string, from: FoundPlugin["from"]): Promise<FoundPlugin> {
  const platform = platformOf(path);
  const site = dirname(dirname(platform === "cuda" ? dirname(path) : path));
  const cuda = platform === "cuda" ? await cudaOf(site) : { preload: [], flags: {} };
  const of = await packageOf(site, path);
  return { platform, plugin: path, from, ...(of === undefined ? {} : { package: of }), ...cuda };
}

function platformOf(path: string): PluginPlatform {
  const name = `${basename(dirname(path))}/${basename(path)}`.toLowerCase();
  if (/cuda|gpu/.test(name)) return "cuda";
  if (name.includes("tpu")) return "tpu";
  return /cpu/.test(name) ? "cpu" : "other";
}

/** Of the packages installed beside a plugin the one whose name is nearest: `jax_cuda12_pjrt` for `xla_cuda12`. */
async function packageOf(site: string, path: string): Promise<string | undefined> {
  const folder = basename(dirname(path));
  const wanted = [folder, folder.replace(/^xla_(cuda\d+)$/, "jax_$1_pjrt")];
  for (const name of await names(site)) {
    const [, of, version] = /^([\w.]+)-([^-]+)\.dist-info$/.exec(name) ?? [];
    if (of !== undefined && wanted.includes(of)) return `${of.replaceAll("_", "-")} ${version}`;
  }
  return undefined;
}

/**
 * NVIDIA's libraries in the order in which JAX opens them (jax_plugins/xla_cuda12/__init__.py, _load_nvidia_libraries): opened by full
 * path, later look-ups by name find them. Those that are not there are looked for by the system.
 */
const NVIDIA = [
  ["cuda_runtime", ["libcudart.so.12"]],
  ["cu13", ["libcudart.so.13"]],
  ["cuda_nvrtc", ["libnvrtc.so.12"]],
  ["nvjitlink", ["libnvJitLink.so.12"]],
  ["cu13", ["libnvrtc.so.13", "libnvJitLink.so.13"]],
  ["cublas", ["libcublasLt.so.12", "libcublas.so.12"]],
  ["cu13", ["libcublasLt.so.13", "libcublas.so.13"]],
  ["nccl", ["libnccl.so.2"]],
  ["cuda_cupti", ["libcupti.so.12"]],
  ["cu13", ["libcupti.so.13"]],
  ["cusparse", ["libcusparse.so.12"]],
  ["cu13", ["libcusparse.so.12"]],
  ["cusolver", ["libcusolver.so.11"]],
  ["cu13", ["libcusolver.so.12"]],
  ["cufft", ["libcufft.so.11"]],
  ["cu13", ["libcufft.so.12"]],
  ["nvshmem", ["libnvshmem_host.so.3"]],
  ["cudnn", ["libcudnn.so.9"]],
] as const;

/** Where XLA finds ptxas and libdevice. */
const TOOLS = ["cuda_nvcc", "cu13"];

async function cudaOf(site: string): Promise<Pick<FoundPlugin, "preload" | "flags">> {
  const there = new Set(await names(join(site, "nvidia")));
  const preload = NVIDIA.flatMap(([part, libraries]) =>
    there.has(part) ? libraries.map((library) => join(site, "nvidia", part, "lib", library)) : [],
  ).filter((path) => existsSync(path));
  const tools = TOOLS.map((part) => join(site, "nvidia", part)).find((folder) =>
    existsSync(join(folder, "bin", "ptxas")),
  );
  return { preload, flags: tools === undefined ? {} : { xla_gpu_cuda_data_dir: tools } };
}

/** The folders in which Python's packages are: the active environment's, then those of the python3 that is found on PATH. */
async function sitePackages(environment: Environment): Promise<string[]> {
  const { VIRTUAL_ENV, CONDA_PREFIX } = environment;
  const prefixes = [VIRTUAL_ENV, CONDA_PREFIX, ...(await prefixesOnPath(environment))];
  const found: string[] = [];
  for (const prefix of [...prefixes, join(homedir(), ".local")]) {
    if (!prefix) continue;
    found.push(join(prefix, "Lib", "site-packages")); // Windows
    for (const name of (await names(join(prefix, "lib"))).reverse())
      if (/^python3/.test(name))
        for (const folder of ["site-packages", "dist-packages"]) found.push(join(prefix, "lib", name, folder));
  }
  return [...new Set(found)].filter((folder) => existsSync(folder));
}

/** Of python3 as PATH has it, which may be an environment, and of what it is a link to. */
async function prefixesOnPath(environment: Environment): Promise<string[]> {
  for (const folder of (environment.PATH ?? "").split(delimiter)) {
    const path = join(folder, "python3");
    if (folder === "" || !existsSync(path)) continue;
    // pyenv's is a script that chooses.
    if (basename(folder) === "shims") return pyenvPrefixes(dirname(folder), environment);
    const target = await realpath(path).catch(() => path);
    return [dirname(folder), dirname(dirname(target)), "/usr/local"];
  }
  return [];
}

async function pyenvPrefixes(root: string, { PYENV_VERSION }: Environment): Promise<string[]> {
  const chosen = PYENV_VERSION ?? (await readFile(join(root, "version"), "utf8").catch(() => ""));
  return chosen
    .split(/[\s:]+/)
    .filter((name) => /^[\w.-]+$/.test(name) && !name.startsWith("."))
    .map((name) => join(root, "versions", name));
}
