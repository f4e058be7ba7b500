/** What of clip-ts works on this machine, and how to get what does not. */
import { mkdir, statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { cacheFolder } from "../cache/index.ts";
import {
  type FindOptions,
  type FoundPlugin,
  findPlugins,
  hasDevice,
  type PluginName,
  pluginRelease,
} from "../plugins/index.ts";
import { type Device, type Outcome, probe, type Trial } from "./probe.ts";

export interface Part {
  /** A name that `--engine` takes, or a library. */
  readonly name: string;
  readonly works: boolean;
  readonly versions: Readonly<Record<string, string>>;
  readonly devices: readonly Device[];
  /** Where a plugin is, and who brought it. */
  readonly plugin?: { readonly path: string; readonly from: FoundPlugin["from"]; readonly package?: string };
  /** In a line; undefined if it works. */
  readonly problem?: string;
  /** The command that brings it, where one does. */
  readonly bring?: string;
}

export interface Diagnosis {
  readonly node: string;
  readonly platform: string;
  readonly processor: { readonly model: string; readonly cores: number };
  /** Bytes; what containers are allowed counts. */
  readonly memory: { readonly total: number; readonly free: number };
  readonly cache: { readonly folder: string; readonly free: number | undefined };
  readonly engines: readonly Part[];
  /** What else is loaded: the decoder of pictures. */
  readonly libraries: readonly Part[];
}

export interface DoctorOptions extends FindOptions {
  /** For tests. */
  readonly probing?: (trial: Trial) => Promise<Outcome>;
}

export async function diagnose(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { probing = probe } = options;
  const plain = async (name: string, trial: Trial, bring?: string): Promise<Part> =>
    partOf(name, await probing(trial), { bring });
  const [libraries, own, xla, cache] = await Promise.all([
    Promise.all([plain("sharp", { kind: "sharp" }, "npm install sharp")]),
    Promise.all([
      plain("onnx", { kind: "engine", engine: "onnx" }, "npm install onnxruntime-node"),
      plain("onnx-webgpu", { kind: "engine", engine: "onnx-webgpu" }),
      plain("reference", { kind: "engine", engine: "reference" }),
    ]),
    xlaParts(options, probing),
    cacheOf(),
  ]);
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: { model: cpus()[0]?.model.trim() ?? "unknown", cores: availableParallelism() },
    memory: memory(),
    cache,
    engines: [...own.slice(0, 2), ...xla, ...own.slice(2)],
    libraries,
  };
}

interface More extends Pick<Part, "plugin"> {
  readonly bring?: string | undefined;
}

function partOf(name: string, outcome: Outcome, { bring, ...rest }: More): Part {
  if (outcome.works) return { name, works: true, versions: outcome.versions, devices: outcome.devices, ...rest };
  const command = bring === undefined ? {} : { bring };
  return { name, works: false, versions: {}, devices: [], ...rest, problem: outcome.problem, ...command };
}

/** Each platform with the plugin that would be used, and those that are missing although their device is there. */
async function xlaParts(options: FindOptions, probing: (trial: Trial) => Promise<Outcome>): Promise<Part[]> {
  let found: readonly FoundPlugin[];
  try {
    found = await findPlugins(options);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return [partOf("xla", { works: false, problem }, { bring: "unset PJRT_PLUGIN" })];
  }
  const first = new Map<string, FoundPlugin>();
  for (const plugin of found) {
    const name = plugin.platform === "other" ? "xla" : `xla-${plugin.platform}`;
    if (!first.has(name)) first.set(name, plugin);
  }
  const tried = [...first].map(async ([name, { plugin: path, from, preload, flags, package: of, platform }]) => {
    const plugin = { path, from, ...(of === undefined ? {} : { package: of }) };
    const missing = platform !== "other" && !hasDevice(platform);
    const outcome = missing
      ? ({ works: false, problem: "the plugin is here, its device is not" } as const)
      : await probing({ kind: "plugin", path, preload, flags });
    return partOf(name, outcome, { plugin });
  });
  const missing = (["cuda", "cpu"] as const).flatMap((platform): Part[] => {
    const name = `xla-${platform}`;
    if (first.has(name)) return [];
    const problem = hasDevice(platform) ? "no PJRT plugin" : "no device of this kind";
    const bring = hasDevice(platform) ? bringing(platform) : undefined;
    return [partOf(name, { works: false, problem }, { bring })];
  });
  const parts = [...(await Promise.all(tried)), ...missing];
  return parts.sort((a, b) => a.name.localeCompare(b.name));
}

function bringing(platform: "cpu" | "cuda"): string | undefined {
  const name: PluginName = platform === "cuda" ? "cuda12" : "cpu";
  return pluginRelease(name) && `clip-ts engine install ${name}`;
}

/** Of the machine or, where that is less, of the container. */
function memory(): Diagnosis["memory"] {
  const allowed = process.constrainedMemory();
  const total = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
  return { total, free: Math.min(freemem(), total) };
}

async function cacheOf(): Promise<Diagnosis["cache"]> {
  const folder = cacheFolder();
  const space = await mkdir(folder, { recursive: true })
    .then(() => statfs(folder))
    .catch(() => undefined);
  return { folder, free: space && space.bavail * space.bsize };
}
