/** What can be said of the configurations without running them. */
import { describe, expect, it } from "vitest";
import { elements, input, type Tensor } from "../../src/graph/index.ts";
import {
  bufferShapes,
  type ClipConfig,
  CONFIGS,
  checkConfig,
  decays,
  encodeImage,
  encodeText,
  initialise,
  parameterShapes,
} from "../../src/model/index.ts";

const count = (config: ClipConfig): number =>
  Object.values(parameterShapes(config)).reduce((sum, shape) => sum + elements(shape), 0);

describe("published architectures", () => {
  // CLIP, tables 19 and 20; the exact numbers are those of the official checkpoints.
  it.each([
    ["RN50", 102_007_137],
    ["RN101", 119_688_033],
    ["RN50x4", 178_300_601],
    ["RN50x16", 290_979_217],
    ["RN50x64", 623_258_305],
    ["ViT-B/32", 151_277_313],
    ["ViT-B/16", 149_620_737],
    ["ViT-L/14", 427_616_513],
    ["ViT-L/14@336px", 427_944_193],
  ] as const)("%s has %i parameters", (name, parameters) => {
    expect(count(CONFIGS[name])).toBe(parameters);
    expect(() => checkConfig(CONFIGS[name])).not.toThrow();
  });

  it("name their heads as the official loader infers them", () => {
    expect(CONFIGS.RN50.vision.heads).toBe(32);
    expect(CONFIGS.RN50x4.vision.heads).toBe(40);
    expect(CONFIGS["ViT-L/14"].vision.heads).toBe(16);
    expect(CONFIGS["emoji-rn"].vision.heads).toBe(8);
  });
});

describe("weight decay", () => {
  it("leaves out gains, biases, vectors and the temperature, nothing else", () => {
    for (const config of [CONFIGS.RN50, CONFIGS["ViT-B/32"]]) {
      const decayed = Object.entries(parameterShapes(config)).filter(([name, shape]) => decays(name, shape));
      const left = Object.entries(parameterShapes(config)).filter(([name, shape]) => !decays(name, shape));
      expect(decayed.every(([, shape]) => shape.length > 1)).toBe(true);
      expect(left.every(([, shape]) => shape.length < 2)).toBe(true);
      expect(decayed.map(([name]) => name)).toContain("token_embedding.weight");
    }
  });
});

describe("initial parameters", () => {
  const moments = (data: ArrayLike<number>) => {
    let [sum, squares, largest] = [0, 0, 0];
    for (let i = 0; i < data.length; i++) {
      const value = data[i] ?? 0;
      sum += value;
      squares += value * value;
      largest = Math.max(largest, Math.abs(value));
    }
    return { mean: sum / data.length, deviation: Math.sqrt(squares / data.length), largest };
  };

  it.each(["emoji-rn", "emoji-vit"] as const)(
    "of %s are all there, reproducible, and another seed's differ",
    (name) => {
      const config = CONFIGS[name];
      const tensors = initialise(config, 3);
      const expected = { ...parameterShapes(config), ...bufferShapes(config) };
      expect(Object.fromEntries(Object.entries(tensors).map(([key, { shape }]) => [key, shape]))).toEqual(expected);
      const start = (seed: number) => Object.values(initialise(config, seed)).map(({ data }) => `${data.slice(0, 50)}`);
      expect(start(3)).toEqual(start(3));
      expect(start(4)).not.toEqual(start(3));
      const fingerprint = Object.values(tensors).map(({ data }) => data.slice(0, 8).join());
      const drawn = fingerprint.filter((text) => !/^[-0.1,]*$/.test(text) && text.includes("."));
      expect(new Set(drawn).size).toBe(drawn.length);
    },
  );

  const vit = initialise(CONFIGS["emoji-vit"], 1);
  const rn = initialise(CONFIGS["emoji-rn"], 1);
  const [width, layers, features] = [128, 2, 512];

  // NUMBERS: CLIP, section 2.5, and the official initialize_parameters.
  it.each([
    ["token_embedding.weight", vit, 0.02],
    ["positional_embedding", vit, 0.01],
    ["text_projection", vit, width ** -0.5],
    ["transformer.resblocks.1.attn.in_proj_weight", vit, width ** -0.5],
    ["transformer.resblocks.1.attn.out_proj.weight", vit, width ** -0.5 * (2 * layers) ** -0.5],
    ["transformer.resblocks.1.mlp.c_fc.weight", vit, (2 * width) ** -0.5],
    ["transformer.resblocks.1.mlp.c_proj.weight", vit, width ** -0.5 * (2 * layers) ** -0.5],
    ["visual.positional_embedding", vit, width ** -0.5],
    ["visual.proj", vit, width ** -0.5],
    ["visual.attnpool.q_proj.weight", rn, features ** -0.5],
    ["visual.attnpool.c_proj.weight", rn, features ** -0.5],
    ["visual.attnpool.positional_embedding", rn, features ** -0.5],
  ])("%s is normal", (name, tensors, deviation) => {
    const { data } = tensors[name] as { data: ArrayLike<number> };
    const found = moments(data);
    const spread = 5 / Math.sqrt(data.length);
    expect(Math.abs(found.deviation / deviation - 1)).toBeLessThan(spread);
    expect(Math.abs(found.mean) / deviation).toBeLessThan(spread);
    expect(found.largest / deviation).toBeGreaterThan(2.5);
  });

  // PyTorch's defaults, which the official code leaves alone here.
  it.each([
    ["visual.conv1.weight", vit, 1 / Math.sqrt(3 * 8 * 8)],
    ["visual.transformer.resblocks.0.attn.in_proj_weight", vit, Math.sqrt(6 / (4 * width))],
    ["visual.transformer.resblocks.0.attn.out_proj.weight", vit, width ** -0.5],
    ["visual.transformer.resblocks.0.mlp.c_fc.weight", vit, width ** -0.5],
    ["visual.transformer.resblocks.0.mlp.c_proj.weight", vit, (4 * width) ** -0.5],
    ["visual.transformer.resblocks.0.mlp.c_proj.bias", vit, (4 * width) ** -0.5],
    ["transformer.resblocks.0.mlp.c_fc.bias", vit, width ** -0.5],
    ["visual.attnpool.k_proj.bias", rn, features ** -0.5],
    ["visual.layer2.0.conv2.weight", rn, 1 / Math.sqrt(32 * 9)],
    ["visual.conv1.weight", rn, 1 / Math.sqrt(27)],
  ])("%s is uniform", (name, tensors, bound) => {
    const { data } = tensors[name] as { data: ArrayLike<number> };
    const { deviation, largest } = moments(data);
    expect(Math.abs(deviation / (bound / Math.sqrt(3)) - 1)).toBeLessThan(4 / Math.sqrt(data.length));
    expect(largest).toBeLessThanOrEqual(Math.fround(bound));
  });

  it.each([
    ["visual.layer1.0.bn3.weight", rn, 0],
    ["visual.bn3.weight", rn, 1],
    ["visual.layer1.0.downsample.1.weight", rn, 1],
    ["visual.layer1.0.bn3.bias", rn, 0],
    ["visual.bn1.running_var", rn, 1],
    ["visual.bn1.running_mean", rn, 0],
    ["visual.ln_pre.weight", vit, 1],
    ["ln_final.bias", vit, 0],
    ["transformer.resblocks.0.attn.in_proj_bias", vit, 0],
    ["visual.transformer.resblocks.0.attn.out_proj.bias", vit, 0],
    ["logit_scale", vit, Math.fround(Math.log(1 / 0.07))],
  ])("%s is constant", (name, tensors, value) => {
    expect([...new Set((tensors[name] as { data: Iterable<number> }).data)]).toEqual([value]);
  });
});

describe("what does not fit is refused in one line", () => {
  const base = CONFIGS["emoji-vit"];
  it.each([
    [{ ...base, embedDim: 0 }, "embedDim: expected a whole number above 0, got 0"],
    [{ ...base, imageSize: 7 }, "vision.patchSize (8) is larger than imageSize (7)"],
    [{ ...base, vision: { ...base.vision, heads: 3 } }, "vision.heads (3) does not divide vision.width (128)"],
    [
      { ...base, vision: { ...base.vision, mlpWidth: 1.5 } },
      "vision.mlpWidth: expected a whole number above 0, got 1.5",
    ],
    [{ ...base, vision: { ...base.vision, epsilon: 0 } }, "vision.epsilon: expected a number between 0 and 1, got 0"],
    [{ ...base, vision: { ...base.vision, classToken: false } }, "vision.pool: there is no class token to pool at"],
    [
      { ...base, embedDim: 64, vision: { ...base.vision, projection: "none" } },
      "vision.projection: without one, vision.width (128) must be embedDim (64)",
    ],
    [
      { ...base, vision: { ...base.vision, pool: "attentional", poolHeads: 3 } },
      "vision.poolHeads (3) does not divide embedDim (128)",
    ],
    [
      { ...base, text: { ...base.text, pool: "eos" } },
      "text.endOfText: expected an id below 2560 to pool at, got undefined",
    ],
    [{ ...base, text: { ...base.text, layers: 1.5 } }, "text.layers: expected a whole number above 0, got 1.5"],
    [{ ...CONFIGS["emoji-rn"], imageSize: 48 }, "total stride (32) does not divide imageSize (48)"],
    [
      { ...CONFIGS["emoji-rn"], vision: { ...CONFIGS["emoji-rn"].vision, width: 15 } },
      "the stem (2) does not divide vision.width (15)",
    ],
  ] as [ClipConfig, string][])("config %#", (config, message) => {
    expect(() => checkConfig(config)).toThrow(message);
    expect(() => initialise(config, 1)).toThrow(message);
  });

  const params = (config: ClipConfig): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries({ ...parameterShapes(config), ...bufferShapes(config) }).map(([name, shape]) => [
        name,
        input(name, "f32", shape),
      ]),
    );
  it("images of another size", () => {
    const images = input("images", "f32", [2, 3, 32, 32]);
    expect(() => encodeImage(params(base), images, base)).toThrow(
      "encodeImage: expected images [batch,3,64,64], got [2,3,32,32]",
    );
  });
  it("texts longer than the context", () => {
    const tokens = input("tokens", "i32", [2, 25]);
    expect(() => encodeText(params(base), tokens, base)).toThrow(
      "encodeText: expected tokens [batch, 1 to 24], got [2,25]",
    );
  });
  it("a parameter that is not there", () => {
    const { "visual.ln_pre.bias": _, ...rest } = params(base);
    const images = input("images", "f32", [2, 3, 64, 64]);
    expect(() => encodeImage(rest, images, base)).toThrow("model: no parameter visual.ln_pre.bias");
  });
  it("a batch that has no variance", () => {
    // The last stage of a picture of 32 pixels has one position.
    const config = { ...CONFIGS["emoji-rn"], imageSize: 32 };
    const one = input("images", "f32", [1, 3, 32, 32]);
    expect(() => encodeImage(params(config), one, config, { train: true })).toThrow("one value a channel");
  });
});
