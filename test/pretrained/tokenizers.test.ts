/** Which tokenizer a model gets: the files beside it, the official vocabulary, or none and why. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ClipConfig, CONFIGS } from "../../src/model/index.ts";
import type { Place, PretrainedKind } from "../../src/pretrained/folder.ts";
import { chooseTokenizer, type TokenizerChoice } from "../../src/pretrained/tokenizer-choice.ts";
import { unpacked } from "./bundle.ts";

const SENTENCEPIECE = new URL("../golden/sentencepiece/", import.meta.url);
const CONTEXT = 16;

const bundled = unpacked("tiny-vit/hf/");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-test-"));
  const gunzipped = async (name: string, to: string) =>
    writeFile(join(folder, to), gunzipSync(await readFile(new URL(name, SENTENCEPIECE))));
  for (const name of ["pieces", "siglip", "siglip2", "empty", "cut", "order", "odd"]) await mkdir(join(folder, name));
  await copyFile(fileURLToPath(new URL("siglip.model", SENTENCEPIECE)), join(folder, "pieces", "spiece.model"));
  await gunzipped("siglip.json.gz", "siglip/tokenizer.json");
  await gunzipped("siglip2.json.gz", "siglip2/tokenizer.json");
});
afterAll(() => rm(folder, { recursive: true }));

const place = (kind: PretrainedKind, at: string): Place => ({
  kind,
  folder: at,
  config: undefined,
  weights: undefined,
});
const config = (vocabSize: number, pool: "class" | "map" = "class"): ClipConfig => {
  const base = CONFIGS["ViT-B/32"];
  return { ...base, vision: { ...base.vision, pool }, text: { ...base.text, vocabSize } };
};
const canonicalize = { name: "timm/ViT-B-16-SigLIP", clean: "canonicalize" };

describe("SigLIP's", () => {
  type Case = readonly [
    text: string,
    siglip: readonly number[],
    openClip: readonly number[],
    siglip2: readonly number[],
  ];
  const cases = async (): Promise<readonly Case[]> =>
    JSON.parse(gunzipSync(await readFile(new URL("cases.json.gz", SENTENCEPIECE))).toString()) as readonly Case[];

  it.each<[string, () => Promise<TokenizerChoice>, 1 | 2 | 3, string]>([
    [
      "Hugging Face folder, sentencepiece",
      () => chooseTokenizer(place("hugging-face", join(folder, "pieces")), config(1200, "map"), undefined, undefined),
      1,
      "spiece.model of the folder",
    ],
    [
      "open_clip folder",
      () => chooseTokenizer(place("open_clip", join(folder, "siglip")), config(1200, "map"), canonicalize, undefined),
      2,
      "tokenizer.json of the folder",
    ],
    [
      "Hugging Face folder of SigLIP 2",
      () => chooseTokenizer(place("hugging-face", join(folder, "siglip2")), config(1500, "map"), undefined, undefined),
      3,
      "tokenizer.json of the folder",
    ],
  ])("%s", async (_, choose, column, from) => {
    const choice = await choose();
    expect(choice.from).toBe(from);
    const some = (await cases()).filter(([text]) => /^[a-z ]+$/.test(text)).slice(0, 40);
    const { ids } = choice.tokenizer?.tokenize(
      some.map(([text]) => text),
      { contextLength: CONTEXT, longText: "truncate" },
    ) ?? { ids: [] };
    for (const [i, row] of some.entries())
      expect([...ids.slice(i * CONTEXT, (i + 1) * CONTEXT)], row[0]).toEqual(row[column]);
    expect(some.length).toBeGreaterThan(5);
  });

  it.each<[string, () => Promise<TokenizerChoice>, string]>([
    [
      "larger than the vocabulary",
      () => chooseTokenizer(place("hugging-face", join(folder, "pieces")), config(60, "map"), undefined, undefined),
      "has 1200 ids, the model embeddings of 60",
    ],
    [
      "absent",
      () => chooseTokenizer(place("open_clip", join(folder, "empty")), config(32000, "map"), canonicalize, undefined),
      "the files of the tokenizer timm/ViT-B-16-SigLIP are not in",
    ],
    [
      "of another cleaning",
      () =>
        chooseTokenizer(
          place("open_clip", join(folder, "siglip")),
          config(32000),
          { name: "xlm-roberta-base", clean: undefined },
          undefined,
        ),
      'the tokenizer xlm-roberta-base with clean "whitespace" is not supported',
    ],
  ])("none: %s", async (_, choose, why) => {
    const { tokenizer, from } = await choose();
    expect(tokenizer).toBeUndefined();
    expect(from).toContain(`none: `);
    expect(from).toContain(why);
  });
});

describe("CLIP's", () => {
  const choose = (at: string, vocabSize = 1000) =>
    chooseTokenizer(place("hugging-face", at), config(vocabSize), undefined, undefined);

  it("from vocab.json and merges.txt, whose ids must be those that merges give", async () => {
    const hf = bundled("tiny-vit/hf");
    expect((await choose(hf)).tokenizer?.vocabSize).toBe(1000);
    const vocab = JSON.parse(await readFile(join(hf, "vocab.json"), "utf8")) as Record<string, number>;
    await copyFile(join(hf, "merges.txt"), join(folder, "order", "merges.txt"));
    await writeFile(join(folder, "order", "vocab.json"), JSON.stringify({ ...vocab, '"': 0, "!": 1 }));
    await expect(choose(join(folder, "order"))).rejects.toThrow(
      `${join(folder, "order", "vocab.json")}: token "!" has id 1, expected 0: no tokenizer of CLIP's kind`,
    );
    await copyFile(join(hf, "vocab.json"), join(folder, "cut", "vocab.json"));
    await writeFile(join(folder, "cut", "merges.txt"), "#version: 0.2\ni n\nt\n");
    await expect(choose(join(folder, "cut"))).rejects.toThrow('merges.txt: merge 1: expected two tokens, got "t"');
    await writeFile(join(folder, "cut", "merges.txt"), "a b\n".repeat(1_000_000));
    await expect(choose(join(folder, "cut"))).rejects.toThrow(
      "merges.txt: more merges than vocab.json has tokens (1000)",
    );
    await writeFile(join(folder, "odd", "tokenizer.json"), JSON.stringify({ model: { type: "WordPiece" } }));
    await expect(choose(join(folder, "odd"))).rejects.toThrow("tokenizer.json: model.type");
  });

  it("is the official one where the vocabulary has its size, in open_clip's spelling there", async () => {
    const alone = await chooseTokenizer(place("file", folder), config(49408), undefined, undefined);
    expect(alone.from).toBe("the official vocabulary");
    expect(alone.tokenizer?.encode("a photo of a dog")).toEqual([320, 1125, 539, 320, 1929]);
    const openClip = await chooseTokenizer(place("open_clip", folder), config(49408), undefined, undefined);
    expect(openClip.tokenizer?.encode("<end_of_text>")).toEqual([49407]);
    expect((await choose(join(folder, "empty"), 64)).from).toContain("none: the model has a vocabulary of 64");
  });
});
