import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";

/** A file without line ends must not fill the memory. */
const LONGEST_LINE = 1 << 26;

export interface Line {
  /** Without its end. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/**
 * Lines of a text file, or of the standard input for `-`; those of nothing but white space are left out.
 * @param what begins messages: "labels file"
 * @throws one line if the file cannot be read
 */
export async function* textLines(file: string, what: string): AsyncGenerator<Line> {
  let line = 0;
  try {
    if (file !== "-" && (await stat(file)).isDirectory()) throw new Error("is a folder");
    for await (const text of splitLines(file === "-" ? process.stdin : createReadStream(file))) {
      line++;
      if (text.trim() !== "") yield { text, line };
    }
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const reason = error instanceof Error ? error.message : String(error);
    const where = file === "-" ? "standard input" : `${what} ${file}`;
    throw new Error(`${where}: ${missing ? "there is no such file" : reason}`, { cause: error });
  }
}

/** At line feeds alone (node:readline also ends lines at U+2028, which captions and JSON may contain); a CR before one goes. */
export async function* splitLines(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", start)) {
      yield withoutReturn(rest.slice(start, end));
      start = end + 1;
    }
    rest = rest.slice(start);
    if (rest.length > LONGEST_LINE) throw new Error(`a line is longer than ${LONGEST_LINE} characters`);
  }
  rest += decoder.decode();
  if (rest !== "") yield withoutReturn(rest);
}

const withoutReturn = (line: string): string => (line.endsWith("\r") ? line.slice(0, -1) : line);
