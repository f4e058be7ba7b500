import { once } from "node:events";

/** Writes to the standard output, waiting where the reader is slower; a reader that went away (`| head`) ends the command. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}

/** As other commands do whose reader has seen enough: no message, status 0. */
export function endWithReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
}
