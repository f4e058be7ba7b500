/** An error that the user caused or can mend: printed as one line, no stack trace. All errors of the commands end as one. */
export function lineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const said = code === "ENOSPC" ? `the disk is full (${message})` : message;
  return said.split("\n")[0]?.trim() || "something failed without saying what";
}
