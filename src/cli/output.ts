/** Thrown where whoever reads the standard output has gone away, as in `| head`: no failure, but what the command was to say is said. */
export class ReaderGone extends Error {}

/**
 * Writes to the standard output, waiting where the reader is slower.
 * @throws ReaderGone, so that the command ends as after an error, its native threads first
 */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (!error) resolve();
      else if ("code" in error && error.code === "EPIPE") reject(new ReaderGone());
      else reject(new Error(`standard output: ${error.message}`, { cause: error }));
    });
  });
}

/** Neither stream ends the process by itself: `print` says what became of its text, and messages that nobody reads stop no work. */
export function outliveReaders(): void {
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
}
