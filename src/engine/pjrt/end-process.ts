import { loadNative } from "./native-memory.ts";

/**
 * Ends this process, whatever its threads are in. `process.exit` would wait for libuv's, and one that waits for a device whose partner is
 * gone never comes back.
 */
export async function endAtOnce(status: number): Promise<never> {
  const native = await loadNative().catch(() => undefined);
  native?.endProcess(status);
  return process.exit(status);
}
