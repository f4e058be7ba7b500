import { Command } from "commander";
import { modelPath } from "../hub/index.ts";
import { createDownloadBar } from "./download-bar.ts";
import { GOES_ON, stoppable } from "./interrupt.ts";
import { print } from "./output.ts";

interface Flags {
  readonly offline?: boolean;
}

export const downloadCommand = (): Command =>
  new Command("download")
    .argument("<model...>", "org/name, org/name@revision, or an official name such as ViT-B/32")
    .option("--offline", "only look whether the cache has them")
    .addHelpText(
      "after",
      `
A download that was stopped goes on where it was. HF_HUB_CACHE and HF_HOME name the cache, HF_TOKEN opens private and
gated models, HF_ENDPOINT another hub, HF_HUB_OFFLINE=1 forbids the network to every command.

Examples:
  clip-ts download ViT-B/32
  clip-ts download laion/CLIP-ViT-B-32-laion2B-s34B-b79K
  clip-ts download openai/clip-vit-base-patch32@main --offline`,
    )
    .action(download);

async function download(models: readonly string[], { offline }: Flags): Promise<void> {
  const bar = createDownloadBar();
  await stoppable(bar, GOES_ON, async (signal) => {
    const options = { ...bar.hub, signal, ...(offline ? { offline } : {}) };
    for (const model of models) await print(`${await modelPath(model, options)}\n`);
  });
}
