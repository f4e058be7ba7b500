#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { packageVersion } from "../train/version.ts";
import type { EngineName } from "./engines.ts";
import { lineOf } from "./failure.ts";
import { outliveReaders, ReaderGone } from "./output.ts";

interface CommandEntry {
  readonly about: string;
  /** Another name of it. */
  readonly alias?: string;
  readonly load: () => Promise<Command>;
}

/** A command's module, with all that it imports, is loaded only when that command is asked for. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  quickstart: {
    about: "Train a small CLIP on six vendors' emoji and let it name the drawings of a seventh.",
    load: async () => (await import("./quickstart.ts")).quickstartCommand(),
  },
  train: {
    about: "Train a CLIP, from scratch or from a model, by a recipe or on a folder or table of captioned pictures.",
    load: async () => (await import("./train.ts")).trainCommand(),
  },
  classify: {
    about: "Say which of some labels fit pictures best.",
    load: async () => (await import("./classify.ts")).classifyCommand(),
  },
  embed: {
    about: "Compute features of pictures or of texts and keep them in a file.",
    load: async () => (await import("./embed.ts")).embedCommand(),
  },
  explain: {
    about: "Show what of a picture speaks for a text, as a heat map over it.",
    load: async () => (await import("./explain.ts")).explainCommand(),
  },
  compare: {
    about: "Put evaluations of several models side by side and say which differences are more than chance.",
    load: async () => (await import("./compare.ts")).compareCommand(),
  },
  eval: {
    about: "Measure how good a model is: zero-shot, probes, few-shot, robustness, failures.",
    alias: "zeroshot", // which is what it measures unless --kind says otherwise
    load: async () => (await import("./eval.ts")).evalCommand(),
  },
  tokenize: {
    about: "Show the tokens that a model sees of texts: ids, pieces, how many, what is cut.",
    load: async () => (await import("./tokenize.ts")).tokenizeCommand(),
  },
  preprocess: {
    about: "Show what a model sees of a picture: resized, cropped, in RGB; write it as a PNG.",
    load: async () => (await import("./preprocess.ts")).preprocessCommand(),
  },
  inspect: {
    about: "Show what a checkpoint is: format, architecture, tensors, and what would be guessed and why.",
    load: async () => (await import("./inspect.ts")).inspectCommand(),
  },
  download: {
    about: "Fetch models from the hub into the cache, which is Python's, and print their folders.",
    load: async () => (await import("./download.ts")).downloadCommand(),
  },
  convert: {
    about: "Write a model in another format, load it back and compare what both compute.",
    load: async () => (await import("./convert.ts")).convertCommand(),
  },
  engine: {
    about: "Bring, list and remove the plugins of the XLA engine (PJRT): CPU, NVIDIA GPUs.",
    load: async () => (await import("./engine.ts")).engineCommand(),
  },
  doctor: {
    about: "Show which engines and devices work here, their versions, and what brings those that do not.",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
};

/** The command line; of the commands only the one that is asked for has more than its name. */
async function commandLine(asked: string | undefined): Promise<Command> {
  const program = new Command("clip-ts")
    .description("CLIP, all of it, in TypeScript: train from scratch, evaluate, label and embed.")
    .version(packageVersion())
    .configureHelp({ subcommandTerm: (command) => command.name() });
  for (const [name, { about, alias, load }] of Object.entries(COMMANDS)) {
    const isAsked = asked !== undefined && [name, alias].includes(asked);
    const command = isAsked ? await load() : new Command(name);
    if (alias !== undefined) command.alias(alias);
    program.addCommand(command.description(about));
  }
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride();
    command.configureOutput({ outputError: (text, write) => write(`clip-ts: ${text.replace(/^error: /, "")}`) });
  }
  return program.hook("preAction", async (_, command) => {
    const { engine } = command.opts<{ engine?: EngineName }>();
    if (!engine) return;
    const { prepareProcess } = await import("./engines.ts");
    await prepareProcess(engine, ["train", "quickstart"].includes(command.name()));
  });
}

outliveReaders();
const [first, second] = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
try {
  const program = await commandLine(first === "help" ? second : first);
  await program.parseAsync();
} catch (error) {
  if (error instanceof ReaderGone) process.exitCode = 0;
  // Commander has printed its own message, or help.
  else if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    process.stderr.write(`clip-ts: ${lineOf(error)}\n`);
    process.exitCode = 1;
  }
}
