/** A name or a value from a file for an error message: as JSON, which keeps it on one line, and not too long. */
export function quote(value: unknown): string {
  const text = asJson(value);
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "nothing";
  } catch {
    return "something nested too deeply"; // JSON is read to any depth, and written to some
  }
}
