import { describe, expect, it } from "vitest";
import { unpacked } from "../pretrained/bundle.ts";
import { run } from "./command.ts";

const place = unpacked("micro/", "tiny-vit/", "malformed/");

describe("clip-ts inspect", () => {
  it("says what a file is, and what is guessed and why", async () => {
    const path = place("micro/open_clip_training_checkpoint.pt");
    const { status, out, err } = await run(["inspect", path]);
    expect([status, err]).toEqual([0, ""]);
    expect(out).toContain(`${path}: PyTorch checkpoint, 0.5 MB`);
    expect(out).toMatch(/architecture +of its own, 119,681 parameters/);
    expect(out).toMatch(/image tower +vision transformer, 16 px, width 64, layers 1, heads 1, patchSize 8/);
    expect(out).toMatch(/tensors +38: F32 119,681 in 38/);
    expect(out).toContain('all behind "module."');
    expect(out).toMatch(/GUESSED +activation quickGelu: weights do not show it/);
    expect((await run(["inspect", path, "--activation", "gelu"])).out).not.toContain("GUESSED         activation");
  });

  it("lists tensors, checks all numbers, and says it in JSON", async () => {
    const { status, out } = await run(["inspect", place("tiny-vit/hf"), "--tensors", "--check", "--json"]);
    expect(status).toBe(0);
    const found = JSON.parse(out) as Record<string, unknown>;
    expect(found).toMatchObject({
      container: "safetensors",
      naming: "Hugging Face's CLIPModel",
      model: {
        format: "Hugging Face CLIP folder",
        parameters: 974_977,
        tokenizerFrom: "vocab.json and merges.txt of the folder",
        config: { embedDim: 64, activation: "quickGelu" },
        guesses: [],
      },
    });
    expect(found.tensors).toContainEqual({
      name: "vision_model.pre_layrnorm.weight",
      dtype: "F16",
      shape: [128],
    });
    expect((await run(["inspect", place("tiny-vit/hf"), "--tensors"])).out).toMatch(
      /visual_projection\.weight +F16 +\[64, 128\]/,
    );
  });

  it("shows a whole file that makes no model, and fails with what is wrong", async () => {
    const path = place("malformed/model_bias_short.safetensors");
    const { status, out, err } = await run(["inspect", path]);
    expect(status).toBe(1);
    expect(out).toMatch(/tensors +38: F16/);
    expect(err).toBe(`clip-ts: ${path}: tensor visual.ln_post.bias: expected [64], got [63]\n`);
    const nan = await run(["inspect", place("malformed/model_nan.safetensors"), "--check"]);
    expect([nan.status, nan.err]).toEqual([
      1,
      expect.stringContaining("tensor visual.conv1.weight: element 3 is NaN\n"),
    ]);
  });

  it.each([
    ["malformed/pt_eval.pt", "refused: it names builtins.eval"],
    ["malformed/dir_timm_tower", "timm image towers (vit_base_patch16_224) are not supported"],
    ["malformed", "holds several checkpoints"],
    ["nothing.pt", "there is no such file"],
    ["../../../../../../dev/null", "is neither a file nor a folder"],
  ])("%s ends in one line", async (file, message) => {
    const { status, out, err } = await run(["inspect", place(file)]);
    expect([status, out]).toEqual([1, ""]);
    expect(err).toContain(message);
    expect(err.trimEnd()).not.toContain("\n");
  });
});
