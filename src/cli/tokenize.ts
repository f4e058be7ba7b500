import { existsSync } from "node:fs";
import { Command, type OptionValueSource } from "commander";
import type { LongText, Tokenizer } from "../tokenizer/index.ts";
import { officialTokenizer } from "../tokenizer/index.ts";
import { textLines } from "./lines.ts";
import { activationOption, loadModel, longTextOption, type ModelFlags, modelOption } from "./model-flag.ts";
import { print } from "./output.ts";

interface Flags extends ModelFlags {
  readonly longText: LongText;
  readonly json?: boolean;
}

/** What a text becomes; the keys of the JSON lines. */
interface Tokens {
  readonly text: string;
  /** Ids that the text needs, marks included. */
  readonly count: number;
  readonly contextLength: number;
  /** Whether it does not fit. */
  readonly tooLong: boolean;
  /** What the model sees, without padding: one row, or several where the text is chunked. */
  readonly rows: readonly { readonly ids: readonly number[]; readonly tokens: readonly string[] }[];
}

export const tokenizeCommand = (): Command =>
  new Command("tokenize")
    .argument("<text...>", "texts; - is the standard input, a text a line")
    .addOption(modelOption())
    .addOption(activationOption())
    .addOption(longTextOption("truncate"))
    .option("--json", "one line of JSON for each text")
    .addHelpText(
      "after",
      `
Without --model, and where there is no quickstart run, the published vocabulary is taken (OpenAI's and open_clip's models).
A space behind a piece shows where a word ends.

Examples:
  clip-ts tokenize "a photo of an axolotl"
  clip-ts tokenize "naïve café" --model runs/quickstart --json
  clip-ts tokenize - --long-text chunk < captions.txt`,
    )
    .action((texts: readonly string[], flags: Flags, command: Command) =>
      tokenize(texts, flags, command.getOptionValueSource("model")),
    );

async function tokenize(texts: readonly string[], flags: Flags, from: OptionValueSource | undefined): Promise<void> {
  const { tokenizer, contextLength } = await vocabularyOf(flags, from === "default");
  for (const given of texts)
    for await (const { text } of given === "-" ? textLines("-", "texts") : [{ text: given }]) {
      const tokens = tokensOf(text, tokenizer, contextLength, flags.longText);
      await print(flags.json ? `${JSON.stringify(tokens)}\n` : shown(tokens, flags.longText));
    }
}

async function vocabularyOf(
  flags: Flags,
  isDefault: boolean,
): Promise<{ readonly tokenizer: Tokenizer; readonly contextLength: number }> {
  if (isDefault && !existsSync(flags.model)) return { tokenizer: await officialTokenizer(), contextLength: 77 };
  const clip = await loadModel(flags);
  const { tokenizer, config } = clip;
  await clip.close();
  return { tokenizer, contextLength: config.text.contextLength };
}

function tokensOf(text: string, tokenizer: Tokenizer, contextLength: number, longText: LongText): Tokens {
  const room = tokenizer.encode(text).length + 2;
  const count = tokenizer.tokenize(text, { contextLength: room }).lengths[0] ?? 0;
  const { ids, lengths } = tokenizer.tokenize(text, { contextLength, longText });
  const rows = Array.from(lengths, (length, row) => {
    const kept = [...ids.subarray(row * contextLength, row * contextLength + length)];
    return { ids: kept, tokens: kept.map((id) => tokenizer.decode([id])) };
  });
  return { text, count, contextLength, tooLong: count > contextLength, rows };
}

function shown({ text, count, contextLength, tooLong, rows }: Tokens, longText: LongText): string {
  const parts = `${rows.length} part${rows.length === 1 ? "" : "s"}`;
  const fate = !tooLong ? "" : longText === "chunk" ? `, in ${parts}` : `, ${count - contextLength} too many: cut`;
  const lines = rows.map(({ ids, tokens }) => {
    const pieces = ids.map((id, i) => `${id} ${JSON.stringify(tokens[i])}`);
    return `  ${pieces.join("  ")}\n`;
  });
  return `${JSON.stringify(text)}: ${count} tokens of ${contextLength}${fate}\n${lines.join("")}`;
}
