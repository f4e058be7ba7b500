/** Flags of `clip-ts train` for several devices and several processes. */
import { createHash } from "node:crypto";
import { InvalidArgumentError, Option } from "commander";
import { type Mesh, parseMesh } from "../graph/index.ts";
import { joinNodes, type NodeGroup, parseAddress, tokenFrom } from "../nodes/index.ts";
import type { Recipe } from "../train/recipe.ts";
import { packageVersion } from "../train/version.ts";
import { count, whole } from "./options.ts";

export interface NodeFlags {
  readonly mesh?: Mesh;
  readonly fsdp?: boolean;
  readonly nodes?: number;
  readonly nodeId?: number;
  readonly coordinator?: string;
  readonly bind?: string;
}

export const meshOption = (): Option =>
  new Option("--mesh <axes>", "how the devices stand, data=4,model=2 for one (--engine xla)").argParser(meshOf);

export const nodeOptions = (): Option[] => [
  meshOption(),
  new Option("--fsdp", "keep large weights and their moments in pieces over the mesh's data axis"),
  new Option("--nodes <n>", "processes that train together, each started with the same command").argParser(whole),
  new Option("--node-id <i>", "which of them this is, from 0").argParser(count),
  new Option("--coordinator <host:port>", "where node 0 listens and the others find it"),
  new Option("--bind <address>", "the address that node 0 listens on (default: the coordinator's host)"),
];

function meshOf(text: string): Mesh {
  try {
    return parseMesh(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

/** A node that says nothing for so long is lost; the others wait so long for node 0 to start. */
const SILENCE_MS = 30_000;
const START_MS = 300_000;

/**
 * Joins the processes that train together.
 * @returns undefined where the flags ask for none
 * @throws one line: which flag is missing, or who
 */
export async function joinGroup(flags: NodeFlags, recipe: Recipe): Promise<NodeGroup | undefined> {
  const { nodes, nodeId, coordinator, bind, mesh, fsdp } = flags;
  if (nodes === undefined) {
    if (nodeId !== undefined || coordinator !== undefined || bind !== undefined)
      throw new Error("--node-id, --coordinator and --bind are for several processes: say how many (--nodes)");
    return undefined;
  }
  if (nodeId === undefined || coordinator === undefined)
    throw new Error(
      "--nodes: say which of them this is (--node-id) and where node 0 listens (--coordinator HOST:PORT)",
    );
  if (nodeId >= nodes) throw new Error(`--node-id: of ${nodes} nodes expected 0 to ${nodes - 1}, got ${nodeId}`);
  const { host, port } = parseAddress(coordinator);
  const same = JSON.stringify([packageVersion(), recipe, mesh, fsdp]);
  const group = await joinNodes({
    node: nodeId,
    nodes,
    host,
    port,
    ...(bind === undefined ? {} : { bind }),
    token: tokenFrom(process.env),
    agreement: createHash("sha256").update(same).digest("hex"),
    silenceMs: SILENCE_MS,
    startMs: START_MS,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const why = `--nodes: not all of ${nodes} nodes are here after ${START_MS / 1000} s`;
    timer = setTimeout(() => reject(new Error(why)), START_MS);
  });
  try {
    // From here on whoever fails tells all others.
    await Promise.race([group.barrier("all nodes are here"), late]);
    return group;
  } catch (error) {
    await group.fail(error instanceof Error ? error.message : String(error));
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
