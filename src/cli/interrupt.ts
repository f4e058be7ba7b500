/** Exit status of a command that ctrl-C ended. */
export const INTERRUPTED = 130;

/**
 * The first SIGINT or SIGTERM asks to stop at a good place; a second one ends the process at once.
 * @param say called at the first
 */
export function onInterrupt(say: () => void): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const interrupted = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
    say();
  };
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", interrupted);
  return {
    signal: controller.signal,
    release: () => {
      process.off("SIGINT", interrupted);
      process.off("SIGTERM", interrupted);
    },
  };
}
