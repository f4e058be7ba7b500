import { createInterface } from "node:readline/promises";
import { Argument, Command } from "commander";
import {
  downloadSize,
  findPlugins,
  hasDevice,
  installedPlugins,
  installPlugin,
  PLUGIN_NAMES,
  type PluginName,
  type PluginRelease,
  pluginRelease,
  pluginsFolder,
  releaseFor,
  removePlugin,
} from "../plugins/index.ts";
import { createByteBar } from "./byte-bar.ts";
import { collectivesCommand } from "./engine-collectives.ts";
import { GOES_ON, stoppable } from "./interrupt.ts";
import { print } from "./output.ts";
import { textTable } from "./text-table.ts";

interface InstallFlags {
  readonly yes?: boolean;
  readonly from?: string;
  readonly index?: string;
}

const pluginArgument = (): Argument => new Argument("<plugin>", "what it computes on").choices(PLUGIN_NAMES);

export const engineCommand = (): Command =>
  new Command("engine")
    .addCommand(
      new Command("install")
        .description("Fetch a plugin from the Python package index, verify and unpack it; no Python is needed.")
        .addArgument(pluginArgument())
        .option("--yes", "do not ask")
        .option("--from <path>", "a folder with the wheels, or the wheel: for machines without a network")
        .option("--index <url>", "another index (default: PIP_INDEX_URL, pip's configuration, pip's own default)")
        .addHelpText(
          "after",
          `
Versions and checksums are pinned. A download that was stopped goes on where it was. It goes into CLIP_TS_CACHE, else the system's
folder for caches; pip's settings index-url, extra-index-url, find-links, no-index, cert and proxy are followed.

Examples:
  clip-ts engine install cpu
  clip-ts engine install cuda12 --yes
  clip-ts engine install cuda12 --from wheels/`,
        )
        .action(install),
    )
    .addCommand(
      new Command("list")
        .description("Show the plugins that there are for this machine and those that are found on it.")
        .option("--json", "as JSON")
        .addHelpText("after", "\nExamples:\n  clip-ts engine list\n  clip-ts engine list --json")
        .action(list),
    )
    .addCommand(collectivesCommand())
    .addCommand(
      new Command("remove")
        .description("Delete a plugin that was installed with this command.")
        .addArgument(pluginArgument())
        .addHelpText("after", "\nExamples:\n  clip-ts engine remove cuda12")
        .action(async (name: PluginName) => {
          if (!(await removePlugin(name))) throw new Error(`${name}: is not installed in ${pluginsFolder()}`);
          await print(`${name}: removed\n`);
        }),
    );

async function install(name: PluginName, { yes, from, index }: InstallFlags): Promise<void> {
  const release = releaseFor(name);
  const bar = createByteBar();
  await stoppable(bar, GOES_ON, async (signal) => {
    if (!yes && !(await agreed(release, from, signal))) {
      process.stderr.write("nothing was installed\n");
      process.exitCode = 1;
      return;
    }
    const plugin = await installPlugin(name, {
      ...(from === undefined ? {} : { from }),
      ...(index === undefined ? {} : { index }),
      signal,
      onProgress: bar.show,
      onNote: bar.note,
    });
    bar.end();
    await print(`${name} ${plugin.version}: ${plugin.folder}; use it with --engine xla, clip-ts doctor tries it\n`);
  });
}

/** Says what will be fetched under which licences, and asks where somebody is there to answer. */
async function agreed(release: PluginRelease, from: string | undefined, signal: AbortSignal): Promise<boolean> {
  process.stderr.write(`${described(release)}\n`);
  const question = from === undefined ? "Fetch and install it?" : `Install it from ${from}?`;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new Error(`${release.name}: not installed, since nobody is there to be asked; --yes installs it`);
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await asked.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    asked.close();
  }
}

function described(release: PluginRelease): string {
  const { name, version, wheels, unpacked } = release;
  const licences = new Map<string, string[]>();
  for (const { licence, package: from } of wheels) licences.set(licence, [...(licences.get(licence) ?? []), from]);
  const lines = [...licences].map(([licence, packages]) => `  ${licence}: ${packages.join(", ")}`);
  const files = `${wheels.length} ${wheels.length === 1 ? "wheel" : "wheels"}`;
  return [
    `${name} ${version}: ${files} of ${megabytes(downloadSize(release))}, ${megabytes(unpacked)} unpacked, in ${pluginsFolder()}`,
    ...lines,
  ].join("\n");
}

async function list({ json }: { readonly json?: boolean }): Promise<void> {
  const installed = new Map((await installedPlugins()).map((plugin) => [plugin.name, plugin]));
  const available = PLUGIN_NAMES.map((name) => {
    const release = pluginRelease(name);
    const there = installed.get(name);
    return {
      ...{ name, available: release?.version, bytes: release && downloadSize(release) },
      licences: release && [...new Set(release.wheels.map(({ licence }) => licence))],
      ...{ installed: there?.version, folder: there?.folder },
    };
  });
  const found = (await findPlugins()).map((plugin) => ({ ...plugin, device: hasDevice(plugin.platform) }));
  if (json) return print(`${JSON.stringify({ available, found })}\n`);
  const rows = available.map(({ name, available: version, bytes = 0, licences = [], installed: there }) => [
    ...[name, version ?? "none for this platform", version === undefined ? "" : megabytes(bytes)],
    ...[there ?? "", licences.join(", ")],
  ]);
  await print(`${textTable({ head: ["plugin", "version", "download", "installed", "licences"], rows })}\n`);
  const places = found.map(({ platform, from, package: of, plugin, device }) => [
    ...[platform, from === "installed" ? "clip-ts" : from, of ?? "", device ? "" : "no device", plugin],
  ]);
  if (places.length > 0)
    await print(`\n${textTable({ head: ["found", "by", "package", "", "library"], rows: places })}\n`);
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6).toLocaleString("en")} MB`;
