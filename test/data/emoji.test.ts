import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emojiCacheFolder } from "../../src/data/emoji-cache.ts";
import { drawEmojiCaption } from "../../src/data/emoji-captions.ts";
import { type JoinedEmoji, joinEmoji } from "../../src/data/emoji-join.ts";
import { readEmojiPackages } from "../../src/data/emoji-packages.ts";
import {
  type EmojiSet,
  emojiTemplates,
  emojiTrainingSource,
  emojiVendors,
  emojiVocabularyTexts,
  openEmoji,
  Random,
} from "../../src/data/index.ts";
import { openEmojiImages } from "../../src/eval/tasks/sources/emoji.ts";

const golden: { unseen: { emoji: string; name: string }[] } = JSON.parse(
  readFileSync(new URL("golden/unseen-concepts.json", import.meta.url), "utf8"),
);
const sha256 = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("hex");

describe("join", () => {
  let joined: JoinedEmoji;
  beforeAll(async () => {
    joined = joinEmoji(await readEmojiPackages());
  });

  test("gives exactly the drawings and concepts of the PyTorch yardstick", () => {
    // hashes of what the yardstick's own script joins from the same package versions
    const drawings = joined.drawings.map(({ vendor, concept, icon }) => [vendor, concept, icon]);
    const concepts = joined.concepts.map((c) => [c.emoji, c.name, c.keywords, c.group, c.subgroup, c.unseen]);
    expect(sha256(drawings)).toBe("700734405ce1cc6897409a94471274865cb0d424b31c9fa26e7cce4d3cac164d");
    expect(sha256(concepts)).toBe("73745feddf999c28a0c8a69434960d85639a4b8481a3c4b240fb9054d89a886c");
  });

  test("has the known counts", () => {
    const perVendor: Record<string, number> = {};
    for (const { vendor } of joined.drawings) perVendor[vendor] = (perVendor[vendor] ?? 0) + 1;
    expect(perVendor).toEqual({
      twemoji: 1865,
      openmoji: 1865,
      "fluent-emoji-flat": 1575,
      emojione: 1342,
      fxemoji: 482,
      "streamline-emojis": 687,
      "noto-v1": 1197,
    });
  });

  test("keeps the known 127 concepts unseen, and their names out of the vocabulary", () => {
    const unseen = joined.concepts.filter((concept) => concept.unseen);
    expect(unseen.map(({ emoji, name }) => ({ emoji, name }))).toEqual(
      golden.unseen.map(({ emoji, name }) => ({ emoji, name })),
    );
    const texts = emojiVocabularyTexts(joined.concepts);
    expect(texts.length).toBeGreaterThan(1740 * 8);
    const said = new Set(texts);
    for (const { name } of unseen) {
      expect(said.has(name)).toBe(false);
      expect(said.has(`an emoji of ${name}`)).toBe(false);
    }
  });

  test("captions come in the proportions of the recipe", () => {
    const concept = joined.concepts[1];
    if (!concept) throw new Error("no concepts");
    const templates = emojiTemplates.map((template) => template.replace("{}", concept.name));
    const kinds = { emojiOf: 0, template: 0, both: 0, keywords: 0 };
    const n = 20_000;
    for (let i = 0; i < n; i++) {
      const caption = drawEmojiCaption(concept, new Random(1, 0, i));
      if (caption === `an emoji of ${concept.name}`) kinds.emojiOf++;
      else if (templates.includes(caption)) kinds.template++;
      else {
        const words = caption.split(", ");
        if (words[0] === concept.name) kinds.both++;
        else kinds.keywords++;
        const keywords = words[0] === concept.name ? words.slice(1) : words;
        expect(keywords.length).toBeGreaterThanOrEqual(1);
        expect(keywords.length).toBeLessThanOrEqual(3);
        expect(new Set(keywords).size).toBe(keywords.length);
        for (const keyword of keywords) expect(concept.keywords).toContain(keyword);
      }
    }
    expect(kinds.emojiOf / n).toBeCloseTo(0.5 + 0.3 / 8, 1);
    expect(kinds.template / n).toBeCloseTo((0.3 * 7) / 8, 1);
    expect(kinds.both / n).toBeCloseTo(0.1, 1);
    expect(kinds.keywords / n).toBeCloseTo(0.1, 1);
  });

  test("a concept without keywords is still captioned", () => {
    const bare = { emoji: "x", name: "thing", keywords: [], group: "g", subgroup: "s", unseen: false };
    for (let i = 0; i < 50; i++) expect(drawEmojiCaption(bare, new Random(i))).toContain("thing");
  });
});

describe("drawings", () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "clip-ts-emoji-"));
  let set: EmojiSet;
  const progress: [number, number][] = [];
  beforeAll(async () => {
    // what a crash or a full disk leaves behind must not be taken for a cache
    const folder = await emojiCacheFolder({ size: 16, cacheDir });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "drawings.raw"), "cut short");
    writeFileSync(
      join(folder, "drawings.json"),
      JSON.stringify({ size: 16, concepts: [], drawings: [{ vendor: "twemoji", concept: 0, icon: "x" }] }),
    );
    set = await openEmoji({ size: 16, cacheDir, onProgress: (...at) => progress.push(at) });
  });
  afterAll(() => {
    set.close();
    rmSync(cacheDir, { recursive: true });
  });

  test("all are made, reported, and none is blank", () => {
    expect(progress.at(-1)).toEqual([9013, 9013]);
    const blank = set.drawings.filter((_, i) => set.image(i).data.every((value) => value === 255));
    expect(blank).toEqual([]);
    expect(() => set.image(9013)).toThrow(/0 \.\. 9012, got 9013/);
  });

  test("the training pairs are 7,253, of six vendors and no unseen concept", async () => {
    const source = emojiTrainingSource(set);
    expect(source.length).toBe(7253);
    const all = Array.from({ length: source.length }, (_, i) => source.describe(i)).join("\n");
    expect(all).not.toContain("noto-v1");
    const captions = new Set(Array.from({ length: source.length }, (_, i) => source.caption(i, new Random(i))));
    for (const { name } of golden.unseen) expect(captions.has(`an emoji of ${name}`)).toBe(false);
    expect((await source.image(7252)).data).toHaveLength(16 * 16 * 3);
    expect(emojiTrainingSource(set, ["twemoji"]).length).toBe(1865 - 127);
    expect(() => emojiTrainingSource(set, ["apple"])).toThrow(/no vendor "apple"; expected one of twemoji, /);
  });

  test("the evaluations are 1,181 ways over the unseen style, 127 ways over unseen concepts, and groups of both", async () => {
    const of = (changes: object) => openEmojiImages({ kind: "emoji", classes: "name", size: 16, cacheDir, ...changes });
    const style = await of({});
    expect([style.count, style.classNames.length, new Set(style.labels).size]).toEqual([1181, 1181, 1181]);
    expect(style.describe(0)).toContain("noto-v1");
    const concepts = await of({ vendors: emojiVendors, concepts: "unseen" });
    expect([concepts.count, new Set(concepts.labels).size]).toEqual([649, 127]);
    expect(concepts.classNames).toEqual(golden.unseen.map(({ name }) => name));
    const groups = await of({ classes: "group" });
    expect([groups.count, groups.classNames]).toEqual([1181, expect.not.arrayContaining(["flags"])]);
    expect(groups.classNames.length).toBeLessThan(12);
    expect(groups.contentHash).toBe(style.contentHash); // the same drawings, other classes
    expect(concepts.contentHash).not.toBe(style.contentHash);
    for (const images of [style, concepts, groups]) await images.close?.();
  });

  test("a second opening reads the cache, which is whole and alone in its folder", async () => {
    const again = await openEmoji({ size: 16, cacheDir, onProgress: () => expect.unreachable("drawn again") });
    expect(again.image(4000)).toEqual(set.image(4000));
    again.close();
    expect(readdirSync(await emojiCacheFolder({ size: 16, cacheDir })).sort()).toEqual([
      "drawings.json",
      "drawings.raw",
    ]);
  });

  test("a place that cannot be written is named", async () => {
    const file = join(cacheDir, "a-file");
    writeFileSync(file, "");
    await expect(openEmoji({ size: 8, cacheDir: file })).rejects.toThrow(/drawings cannot be kept in .*a-file/);
    rmSync(file);
    await expect(openEmoji({ size: 7 })).rejects.toThrow(/size must be a whole number of pixels from 8/);
  });
});
