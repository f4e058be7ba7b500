/**
 * A lock between processes: a file that is there as long as its holder lives.
 * Ours, since Node has no advisory locks and proper-lockfile had no release since 2021 and adds handlers of its own to
 * the process's signals. A download does not rely on it: if two processes fetch the same file, its checksum says so.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds between signs of life, and without one before the holder counts as dead. */
const BEAT = 2_000;
const DEAD = 20_000;
const POLL = 200;

/**
 * Runs while nobody else holds the lock; waits for it.
 * @param waiting called once if another process has it; what it throws ends the waiting
 */
export async function locked<T>(
  path: string,
  run: () => Promise<T>,
  { signal, waiting }: { readonly signal?: AbortSignal | undefined; readonly waiting?: (() => void) | undefined } = {},
): Promise<T> {
  const mine = `${process.pid} ${hostname()} ${randomUUID()}`;
  await mkdir(dirname(path), { recursive: true });
  ours.add(mine);
  try {
    for (let said = false; ; ) {
      const outcome = await take(path, mine);
      if (outcome === "mine") break;
      if (outcome === "freed") continue;
      if (!said) waiting?.();
      said = true;
      await sleep(POLL, undefined, signal ? { signal } : {});
    }
    const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), BEAT);
    beat.unref();
    try {
      return await run();
    } finally {
      clearInterval(beat);
      if ((await contentOf(path)) === mine) await rm(path, { force: true });
    }
  } finally {
    ours.delete(mine);
  }
}

/** What this process writes into locks. A holder of its number that is not among them ran before it: a container begins anew with the same ones. */
const ours = new Set<string>();

/** Once; a lock whose holder is dead is removed. */
async function take(path: string, mine: string): Promise<"mine" | "freed" | "held"> {
  try {
    await writeFile(path, mine, { flag: "wx" });
    return "mine";
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  }
  const holder = await contentOf(path);
  if (holder === undefined || !(await isDead(path, holder))) return "held";
  // Moved away rather than deleted: of several who see it dead, one moves it; who moves a living one puts it back.
  const aside = `${path}.${randomUUID()}`;
  await rename(path, aside).catch(() => {});
  const moved = await contentOf(aside);
  if (moved !== undefined && moved !== holder) await writeFile(path, moved, { flag: "wx" }).catch(() => {});
  await rm(aside, { force: true });
  return "freed";
}

const contentOf = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined);

async function isDead(path: string, holder: string): Promise<boolean> {
  const [pid = "", host] = holder.split(" ");
  if (host === hostname() && /^\d+$/.test(pid)) {
    const isGone = Number(pid) === process.pid ? !ours.has(holder) : !isRunning(Number(pid));
    if (isGone) return true;
  }
  const status = await stat(path).catch(() => undefined);
  return status !== undefined && Date.now() - status.mtimeMs > DEAD;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isCode(error, "ESRCH");
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;
