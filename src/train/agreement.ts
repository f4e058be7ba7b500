/** What processes that train one run together agree on. One that trains alone has no group, and decides for itself. */
import type { NodeGroup } from "../nodes/index.ts";
import { checkpointSteps } from "./run-folder.ts";

/** Keys under which it is said to all: the step to go on from, and the one to stop behind. */
const RESUME = "resume from step";
const STOP = "stop behind step";

/** How long node 0 may take to tidy up the folder before it says where to go on. */
const RESUME_MS = 300_000;

/** Whether this is the process that keeps the run's folder in order. */
export const keepsFolder = (group: NodeGroup | undefined): boolean => group === undefined || group.node === 0;

/** The step of the checkpoint to go on from: as node 0 sees it, where several processes might see different ones. */
export async function latestStep(folder: string, group: NodeGroup | undefined): Promise<number | undefined> {
  const seen = keepsFolder(group) ? (await checkpointSteps(folder)).at(-1) : undefined;
  if (!group) return seen;
  if (group.node === 0) await group.put(RESUME, new TextEncoder().encode(String(seen ?? "")));
  const said = new TextDecoder().decode(await group.get(RESUME, RESUME_MS));
  return said === "" ? undefined : Number(said);
}

/** Whether the signal was given; among several processes to any of them, and then all stop behind the same step. @param step begun so far */
export async function isToStop(
  step: number,
  signal: AbortSignal | undefined,
  group: NodeGroup | undefined,
): Promise<boolean> {
  if (!group) return signal?.aborted ?? false;
  // Others may have begun this step and the next, none more: they do not come through this one without us.
  const agreed = new TextEncoder().encode(String(step + 2));
  if (signal?.aborted) await group.put(STOP, agreed).catch(() => {}); // another one was first
  const at = await group.get(STOP, 0).catch(() => undefined);
  return at !== undefined && step >= Number(new TextDecoder().decode(at));
}
