/** A name or a value from a file for an error message: as JSON, which keeps it on one line, and not too long. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}
