#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { packageVersion } from "../train/version.ts";
import { classifyCommand } from "./classify.ts";
import { compareCommand } from "./compare.ts";
import { convertCommand } from "./convert.ts";
import { doctorCommand } from "./doctor.ts";
import { downloadCommand } from "./download.ts";
import { embedCommand } from "./embed.ts";
import { engineCommand } from "./engine.ts";
import { type EngineName, prepareProcess } from "./engines.ts";
import { evalCommand } from "./eval.ts";
import { explainCommand } from "./explain.ts";
import { lineOf } from "./failure.ts";
import { inspectCommand } from "./inspect.ts";
import { endWithReader } from "./output.ts";
import { preprocessCommand } from "./preprocess.ts";
import { quickstartCommand } from "./quickstart.ts";
import { tokenizeCommand } from "./tokenize.ts";
import { trainCommand } from "./train.ts";

const program = new Command("clip-ts")
  .description("CLIP, all of it, in TypeScript: train from scratch, evaluate, label and embed.")
  .version(packageVersion())
  .addCommand(quickstartCommand())
  .addCommand(trainCommand())
  .addCommand(classifyCommand())
  .addCommand(embedCommand())
  .addCommand(explainCommand())
  .addCommand(compareCommand())
  .addCommand(evalCommand())
  .addCommand(tokenizeCommand())
  .addCommand(preprocessCommand())
  .addCommand(inspectCommand())
  .addCommand(downloadCommand())
  .addCommand(convertCommand())
  .addCommand(engineCommand())
  .addCommand(doctorCommand());

for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
  command.exitOverride();
  command.configureOutput({ outputError: (text, write) => write(`clip-ts: ${text.replace(/^error: /, "")}`) });
}

program.hook("preAction", async (_, command) => {
  const { engine } = command.opts<{ engine?: EngineName }>();
  if (engine) await prepareProcess(engine, ["train", "quickstart"].includes(command.name()));
});

endWithReader();
try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed its own message, or help.
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    process.stderr.write(`clip-ts: ${lineOf(error)}\n`);
    process.exitCode = 1;
  }
}
