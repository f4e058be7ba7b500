/** Exit status of a command that ctrl-C ended after it saved: what shells report for SIGINT. */
export const INTERRUPTED = 130;

/** What is said of a run that was stopped and kept what it had. */
export const GOES_ON = "the same command goes on where it was";

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

/**
 * Does work that the first SIGINT or SIGTERM ends: that it fails then is no error.
 * @param bar ended with the work
 * @param left what is said of a stopped run
 */
export async function stoppable(
  bar: { end(): void },
  left: string,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interrupt = onInterrupt(() => bar.end());
  try {
    await work(interrupt.signal);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    bar.end();
    process.stderr.write(`stopped; ${left}\n`);
    process.exitCode = INTERRUPTED;
  } finally {
    bar.end();
    interrupt.release();
  }
}
