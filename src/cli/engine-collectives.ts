import { Command } from "commander";
import type { Collective } from "../engine/engine.ts";
import { type Mesh, meshSize, showMesh } from "../graph/index.ts";
import { stateOf, stepGraph } from "../train/graphs.ts";
import { trainingPlacements } from "../train/placements.ts";
import { createEngine, type EngineName, engineOption, hasMesh } from "./engines.ts";
import { print } from "./output.ts";
import { loadRecipe } from "./recipe-file.ts";
import { textTable } from "./text-table.ts";
import { meshOption } from "./train-nodes.ts";

interface Flags {
  readonly mesh: Mesh;
  readonly fsdp?: boolean;
  readonly engine: EngineName;
  readonly json?: boolean;
}

export const collectivesCommand = (): Command =>
  new Command("collectives")
    .description("Count what devices say to each other in a recipe's training step, as XLA compiled it.")
    .argument("<recipe>", "emoji-s, emoji-vit, emoji-l, or a .js, .mjs or .json file")
    .addOption(meshOption().makeOptionMandatory())
    .option("--fsdp", "keep large weights and their moments in pieces over the mesh's data axis")
    .addOption(engineOption().default("xla-cpu" satisfies EngineName))
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
A CPU stands for any number of devices, so that a cluster's step can be looked at before there is one; what is counted is of one device.

Examples:
  clip-ts engine collectives emoji-vit --mesh data=4
  clip-ts engine collectives recipe.json --mesh data=4,model=2 --fsdp --json`,
    )
    .action(async (name: string, flags: Flags) => {
      if (!hasMesh(flags.engine)) throw new Error(`--engine: ${flags.engine} computes on one device`);
      if (meshSize(flags.mesh) < 2)
        throw new Error(`--mesh: ${showMesh(flags.mesh)} has one device, which says nothing`);
      const { model: config, adam, batch, microBatch = batch } = await loadRecipe(name);
      const shape = { config, adam, batch: microBatch, length: config.text.contextLength };
      const engine = await createEngine(flags.engine, undefined, { mesh: flags.mesh });
      try {
        const { parameters, shardings } = trainingPlacements(
          config,
          stateOf(shape).groups,
          flags.mesh,
          flags.fsdp ?? false,
        );
        const { graph, state } = stepGraph({ ...shape, placements: parameters });
        const program = await engine.compile(graph, { state, shardings });
        await show(program.collectives?.() ?? [], flags);
        await program.close();
      } finally {
        await engine.close();
      }
    });

async function show(all: readonly Collective[], { json }: Flags): Promise<void> {
  const sums = new Map<
    string,
    { kind: Collective["kind"]; devices: number; count: number; bytes: number; sent: number }
  >();
  for (const { kind, devices, bytes, sent } of all) {
    const sum = sums.get(`${kind} ${devices}`) ?? { kind, devices, count: 0, bytes: 0, sent: 0 };
    sums.set(`${kind} ${devices}`, {
      ...sum,
      count: sum.count + 1,
      bytes: sum.bytes + bytes,
      sent: sum.sent + Math.round(sent),
    });
  }
  const listed = [...sums.values()].sort((a, b) => b.sent - a.sent);
  if (json) return print(`${JSON.stringify(listed)}\n`);
  const rows = listed.map(({ kind, devices, count, bytes, sent }) => [
    ...[kind, String(devices), String(count), bytes.toLocaleString("en"), sent.toLocaleString("en")],
  ]);
  await print(`${textTable({ head: ["collective", "between", "times", "bytes of results", "bytes sent"], rows })}\n`);
}
