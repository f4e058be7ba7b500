import { Command } from "commander";
import { writeFileAtomic } from "../checkpoint/index.ts";
import { decodeImage, encodePng, preprocess } from "../image/index.ts";
import { activationOption, loadModel, type ModelFlags, modelOption } from "./model-flag.ts";
import { print } from "./output.ts";
import { checkOutput } from "./output-path.ts";

interface Flags extends ModelFlags {
  readonly out: string;
  readonly json?: boolean;
}

export const preprocessCommand = (): Command =>
  new Command("preprocess")
    .argument("<image>", "a picture")
    .requiredOption("-o, --out <file>", "the PNG to write")
    .addOption(modelOption())
    .addOption(activationOption())
    .option("--json", "what was done as JSON")
    .addHelpText(
      "after",
      `
Examples:
  clip-ts preprocess photo.jpg -o seen.png
  clip-ts preprocess photo.jpg --model runs/own -o seen.png --json`,
    )
    .action(show);

async function show(path: string, flags: Flags): Promise<void> {
  await checkOutput(flags.out);
  const picture = await decodeImage(path);
  const clip = await loadModel(flags);
  try {
    const seen = preprocess(picture, clip.preprocess);
    await writeFileAtomic(flags.out, await encodePng(seen));
    const { resize, interpolation, mean, deviation, fill } = clip.preprocess;
    const did = {
      image: path,
      from: { width: picture.width, height: picture.height },
      out: flags.out,
      to: { width: seen.width, height: seen.height },
      ...{ resize, interpolation, mean, deviation, fill },
    };
    await print(
      flags.json
        ? `${JSON.stringify(did)}\n`
        : `${path}: ${sizeOf(picture)} -> ${sizeOf(seen)} (${resize}, ${interpolation}); ${flags.out}\n`,
    );
  } finally {
    await clip.close();
  }
}

const sizeOf = ({ width, height }: { readonly width: number; readonly height: number }): string =>
  `${width} x ${height}`;
