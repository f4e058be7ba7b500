/** Exit status of a command that ctrl-C ended after it saved: what shells report for SIGINT. */
export const INTERRUPTED = 130;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * The first SIGINT or SIGTERM asks to stop at a good place; the second one ends the process at once.
 * @param say called at the first
 */
export function onInterrupt(say: () => void): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const release = (): void => {
    for (const name of SIGNALS) process.off(name, interrupted);
  };
  const interrupted = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      // Dying of the signal itself: process.exit would first tear down a thread in the middle of a native call.
      release();
      process.kill(process.pid, name);
      return;
    }
    controller.abort();
    say();
  };
  for (const name of SIGNALS) process.on(name, interrupted);
  return { signal: controller.signal, release };
}
