/** The code blocks of a Markdown file that claim to work. */

export interface Block {
  /** Line of the opening fence. */
  readonly line: number;
  readonly code: string;
  /** Whether it is run, beside being type-checked. */
  readonly runs: boolean;
  /** What it has to print, if the file says so. */
  readonly output: string | undefined;
}

export function blocksOf(markdown: string): Block[] {
  const fences = [...markdown.matchAll(/^```([^\n]*)\n([\s\S]*?)^```[ \t]*$/gm)];
  return fences.flatMap((fence, i) => {
    const [all, info = "", code = ""] = fence;
    const [language, ...words] = info.trim().split(/\s+/);
    if (language !== "ts") return [];
    const next = fences[i + 1];
    const between = next && markdown.slice(fence.index + all.length, next.index);
    const output = next && between?.trim() === "" && next[1]?.trim() === "text output" ? next[2] : undefined;
    const line = markdown.slice(0, fence.index).split("\n").length;
    return [{ line, code, runs: words.includes("run"), output }];
  });
}
