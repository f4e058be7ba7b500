import { Command, Option } from "commander";
import { type Diagnosis, diagnose, type Part } from "../doctor/index.ts";
import { packageVersion } from "../train/version.ts";
import { ENGINES, type EngineName } from "./engines.ts";
import { print } from "./output.ts";
import { textTable } from "./text-table.ts";

export const doctorCommand = (): Command =>
  new Command("doctor")
    .addOption(
      new Option("--engine <name>", "the one that is needed").choices(ENGINES).default("onnx" satisfies EngineName),
    )
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Every engine computes something small, each in a process of its own. The exit status is 1 if the needed engine, or the library that
decodes pictures, does not work.

Examples:
  clip-ts doctor
  clip-ts doctor --engine xla-cuda --json`,
    )
    .action(doctor);

async function doctor({ engine, json }: { readonly engine: EngineName; readonly json?: boolean }): Promise<void> {
  const diagnosis = await diagnose();
  const broken = [...diagnosis.libraries, ...neededEngines(diagnosis, engine)].filter(({ works }) => !works);
  const good = broken.length === 0;
  if (json) await print(`${JSON.stringify({ clipTs: packageVersion(), needed: engine, good, ...diagnosis })}\n`);
  else await print(shown(diagnosis));
  if (good) return;
  for (const { name, problem, bring } of broken)
    process.stderr.write(`clip-ts: ${name}: ${problem}${bring === undefined ? "" : `; ${bring}`}\n`);
  process.exitCode = 1;
}

/** `xla` is there if any of its platforms is. */
function neededEngines({ engines }: Diagnosis, needed: EngineName): readonly Part[] {
  if (needed !== "xla")
    return missingOr(
      engines.filter(({ name }) => name === needed),
      needed,
    );
  const all = engines.filter(({ name }) => name.startsWith("xla"));
  const working = all.filter(({ works }) => works);
  if (working.length > 0) return working;
  const mendable = all.filter(({ bring }) => bring !== undefined);
  return mendable.length > 0 ? mendable : all;
}

const missingOr = (parts: readonly Part[], name: string): readonly Part[] =>
  parts.length > 0 ? parts : [{ name, works: false, versions: {}, devices: [], problem: "is not here" }];

function shown({ node, platform, processor, memory, cache, engines, libraries }: Diagnosis): string {
  const room = cache.free === undefined ? "cannot be written" : `${gigabytes(cache.free)} free`;
  const head = [
    ["clip-ts", `${packageVersion()}, Node ${node}, ${platform}`],
    ["processor", `${processor.model}, ${processor.cores} ${processor.cores === 1 ? "core" : "cores"}`],
    ["memory", `${gigabytes(memory.total)}, ${gigabytes(memory.free)} free`],
    ["cache", `${cache.folder}, ${room}`],
  ].map(([name = "", value]) => `${name.padEnd(11)}${value}`);
  const rows = [...engines, ...libraries].map((part) => [part.name, part.works ? "works" : "-", detail(part)]);
  const table = textTable({ head: ["--engine", "", ""], rows: rows.slice(0, engines.length) });
  const others = textTable({ head: ["library", "", ""], rows: rows.slice(engines.length) });
  const bring = [...engines, ...libraries].flatMap(({ name, bring }) => (bring === undefined ? [] : [[name, bring]]));
  const hints = bring.length === 0 ? [] : ["", textTable({ head: ["missing", "brought by"], rows: bring })];
  return `${[...head, "", table, "", others, ...hints].join("\n")}\n`;
}

function detail({ problem, versions, devices, plugin }: Part): string {
  if (problem !== undefined) return problem;
  const said = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const kinds = new Map<string, number>();
  for (const { kind, memory } of devices) {
    const label = memory === undefined ? kind : `${kind} of ${gigabytes(memory)}`;
    kinds.set(label, (kinds.get(label) ?? 0) + 1);
  }
  const counted = [...kinds].map(([kind, count]) => `${count} x ${kind}`);
  return [...counted, ...(plugin?.package === undefined ? [] : [plugin.package]), ...said].join(", ");
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
