import { Command } from "commander";
import { writeFileAtomic } from "../checkpoint/index.ts";
import { heatOverlay } from "../explain/index.ts";
import { decodeImage, encodePng, preprocess } from "../image/index.ts";
import type { LongText } from "../tokenizer/index.ts";
import { engineOption } from "./engines.ts";
import {
  activationOption,
  loadModel,
  longTextOption,
  type ModelFlags,
  modelOption,
  threadsOption,
} from "./model-flag.ts";
import { collected } from "./options.ts";
import { print } from "./output.ts";
import { checkOutput } from "./output-path.ts";

interface Flags extends ModelFlags {
  readonly text: string;
  readonly against?: readonly string[];
  readonly out: string;
  readonly crop?: boolean;
  readonly longText: LongText;
  readonly json?: boolean;
}

export const explainCommand = (): Command =>
  new Command("explain")
    .argument("<image>", "a picture")
    .requiredOption("--text <text>", "what the picture is compared with")
    .option("--against <text>", "what it is not: shared heat is taken out; several are possible", collected)
    .requiredOption("-o, --out <file>", "the PNG to write")
    .option("--crop", "over what the model sees (default: over the whole picture)")
    .addOption(modelOption())
    .addOption(activationOption())
    .addOption(longTextOption("error"))
    .option("--json", "the heat as JSON")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addHelpText(
      "after",
      `
Vision transformers: gradient-weighted attention through all blocks (Chefer et al. 2021); ResNets: Grad-CAM on the last stage.
The picture is shown in grey; what the model does not see of it is dark.

Examples:
  clip-ts explain photo.jpg --text "a dog" -o dog.png
  clip-ts explain photo.jpg --text "a dog" --against "a cat" --against "a sofa" --model ViT-B/32 -o dog.png --json`,
    )
    .action(explain);

async function explain(path: string, flags: Flags): Promise<void> {
  await checkOutput(flags.out);
  const picture = await decodeImage(path);
  const clip = await loadModel(flags);
  try {
    const { text, against = [], longText, out } = flags;
    const explanation = await clip.explain(picture, text, { against, longText });
    const { heat, width, height, region, similarity, method } = explanation;
    const map = { heat, rows: height, columns: width };
    const seen = flags.crop ? preprocess(picture, clip.preprocess) : picture;
    const whole = { left: 0, top: 0, width: seen.width, height: seen.height };
    await writeFileAtomic(out, await encodePng(heatOverlay(seen, map, flags.crop ? whole : region)));
    const did = { image: path, text, against, similarity, method, width, height, heat: [...heat], region, out };
    const shown = `${path}: ${JSON.stringify(text)} ${similarity.toFixed(3)}; ${width} x ${height} by ${method}; ${out}\n`;
    await print(flags.json ? `${JSON.stringify(did)}\n` : shown);
  } finally {
    await clip.close();
  }
}
