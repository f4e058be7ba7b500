import { Command, InvalidArgumentError } from "commander";
import type { Conversion, Kernels, Target } from "../convert/index.ts";
import { modelPath } from "../hub/index.ts";
import { createByteBar } from "./byte-bar.ts";
import { createDownloadBar } from "./download-bar.ts";
import { stoppable } from "./interrupt.ts";
import { print } from "./output.ts";

interface Flags {
  readonly out: string;
  readonly to: Target;
  readonly dtype: "f32" | "f16";
  readonly kernels: Kernels;
  readonly activation?: "quickGelu" | "gelu";
  readonly force?: boolean;
  readonly verify: boolean;
  readonly json?: boolean;
}

const TARGETS = ["openai", "open_clip", "hf", "clip-ts", "onnx"] as const satisfies readonly Target[];

export const convertCommand = (): Command =>
  new Command("convert")
    .argument("<model>", "run folder, checkpoint, folder of open_clip or Hugging Face, or a name on the hub")
    .requiredOption("-o, --out <path>", "folder to write, for openai and clip-ts a .safetensors file")
    .requiredOption("--to <format>", TARGETS.join(", "), oneOf(TARGETS))
    .option("--dtype <type>", "of the weights in the files: f32, f16", oneOf(["f32", "f16"] as const), "f32")
    .option(
      "--kernels <set>",
      "ONNX operators: onnx (the standard's), onnxruntime (its fused ones too)",
      oneOf(["onnx", "onnxruntime"] as const),
      "onnx",
    )
    .option(
      "--activation <name>",
      "quickGelu or gelu, where a file does not say it",
      oneOf(["quickGelu", "gelu"] as const),
    )
    .option("--force", "replace what an earlier conversion wrote there")
    .option("--no-verify", "do not load the result back; takes less memory")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `
Examples:
  clip-ts convert ViT-B-32.pt -o vit-b-32 --to hf
  clip-ts convert hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K -o laion.safetensors --to clip-ts --dtype f16
  clip-ts convert runs/quickstart -o emoji-onnx --to onnx        onnx/vision_model.onnx, onnx/text_model.onnx: any batch`,
    )
    .action(run);

function oneOf<const T extends string>(names: readonly T[]): (text: string) => T {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`expected one of ${names.join(", ")}`);
  };
}

async function run(model: string, flags: Flags): Promise<void> {
  const downloads = createDownloadBar();
  const bar = createByteBar();
  await stoppable(bar, "nothing was written", async (signal) => {
    const { openPretrained } = await import("../pretrained/index.ts");
    const { convert } = await import("../convert/index.ts");
    const path = await modelPath(model, { ...downloads.hub, signal }).finally(() => downloads.end());
    const source = await openPretrained(path, flags.activation === undefined ? {} : { activation: flags.activation });
    try {
      const result = await convert(source, flags.out, {
        to: flags.to,
        dtype: flags.dtype === "f16" ? "F16" : "F32",
        kernels: flags.kernels,
        force: flags.force ?? false,
        verify: flags.verify,
        onProgress: (done, total, tensor) => bar.show(done, total, tensor),
        signal,
      });
      bar.end();
      await print(flags.json ? `${JSON.stringify(result)}\n` : `${shown(result, flags)}\n`);
    } finally {
      await source.close();
    }
  });
}

function shown({ path, files, bytes, notes, difference }: Conversion, { to }: Flags): string {
  const size = `${(bytes / 1e6).toFixed(1)} MB in ${files.length} ${files.length === 1 ? "file" : "files"}`;
  const check = difference
    ? `; loaded back, features differ by ${difference.images.toExponential(1)} (images), ${difference.texts.toExponential(1)} (texts) of the largest`
    : "; not verified";
  return [`${path}: ${to}, ${size}${check}`, ...notes.map((note) => `note: ${note}`)].join("\n");
}
