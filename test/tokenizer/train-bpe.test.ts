import { expect, test } from "vitest";
import { cleanText } from "../../src/tokenizer/clean.ts";
import { createBpeTokenizer, type Merge, trainBpe } from "../../src/tokenizer/index.ts";
import { splitWords } from "../../src/tokenizer/words.ts";

/** Byte-pair training as the textbook has it: count all pairs anew for every merge. ASCII only. */
function trainPlainly(captions: readonly string[], count: number): Merge[] {
  const ids = new Map<string, number>();
  // ids of printable ASCII are in the order of the characters, those at the end of a word come after all others
  for (let code = 0x21; code < 0x7f; code++) {
    ids.set(String.fromCharCode(code), code);
    ids.set(`${String.fromCharCode(code)}</w>`, 256 + code);
  }
  let words = captions.flatMap((caption) =>
    splitWords(cleanText(caption)).map((word) => [...word.slice(0, -1), `${word.slice(-1)}</w>`]),
  );
  const merges: Merge[] = [];
  while (merges.length < count) {
    const pairs = new Map<string, { left: string; right: string; count: number }>();
    for (const word of words) {
      for (const [i, left] of word.slice(0, -1).entries()) {
        const right = word[i + 1] ?? "";
        const pair = pairs.get(`${left} ${right}`) ?? { left, right, count: 0 };
        pair.count++;
        pairs.set(`${left} ${right}`, pair);
      }
    }
    const best = [...pairs.values()]
      .filter(({ left, right }) => !ids.has(left + right))
      .sort(
        (a, b) =>
          b.count - a.count ||
          (ids.get(a.left) ?? 0) - (ids.get(b.left) ?? 0) ||
          (ids.get(a.right) ?? 0) - (ids.get(b.right) ?? 0),
      )[0];
    if (best === undefined) break;
    merges.push([best.left, best.right]);
    ids.set(best.left + best.right, 1000 + merges.length);
    words = words.map((word) => {
      const merged: string[] = [];
      for (let i = 0; i < word.length; i++) {
        const symbol = word[i] ?? "";
        if (symbol === best.left && word[i + 1] === best.right) {
          merged.push(symbol + word[++i]);
        } else merged.push(symbol);
      }
      return merged;
    });
  }
  return merges;
}

const captions = [
  "a photo of a banana, an ananas and a bandana",
  "the banana band banned the bananas; aaaaaaaaaa aaaa aaa",
  "mississippi misses missing sissies, 1234 12 123",
  "photographs of photographers photographing photography!!!! !!! ??!!",
  "she sells sea shells; the shells she sells are seashells, I'm sure it's so",
];

test("the fast way finds the merges of the plain way", async () => {
  const merges = await trainBpe(captions, { vocabSize: 514 + 70 });
  expect(merges.length).toBe(70);
  expect(merges).toEqual(trainPlainly(captions, 70));
});

test("stops when no pair is left, and at the minimum frequency", async () => {
  const all = await trainBpe(captions, { vocabSize: 10_000 });
  expect(all).toEqual(trainPlainly(captions, 10_000));
  const frequent = await trainBpe(captions, { vocabSize: 10_000, minFrequency: 3 });
  expect(frequent.length).toBeGreaterThan(10);
  expect(all.slice(0, frequent.length)).toEqual(frequent);
  expect(frequent.length).toBeLessThan(all.length);
  expect(await trainBpe([], { vocabSize: 2048 })).toEqual([]);
});

test("takes an async iterable, and tells how far it is", async () => {
  async function* stream() {
    yield* captions;
  }
  const seen: string[] = [];
  const merges = await trainBpe(stream(), {
    vocabSize: 514 + 60,
    onProgress: ({ phase, done, total }) => seen.push(`${phase} ${done}/${total ?? "?"}`),
  });
  expect(merges).toEqual(await trainBpe(captions, { vocabSize: 514 + 60 }));
  expect(seen).toContain("counting 5/?");
  expect(seen.at(-1)).toBe("merging 60/60");
});

test("whole words of another language become one token", async () => {
  const merges = await trainBpe(Array(5).fill("маленькая кошка спит"), { vocabSize: 600 });
  const tokenizer = createBpeTokenizer(merges);
  expect(tokenizer.encode("кошка").length).toBe(1);
  expect(tokenizer.decode(tokenizer.encode("Кошка спит"))).toBe("кошка спит ");
  expect(tokenizer.vocabSize).toBe(514 + merges.length);
});

test("refuses a vocabulary without room", async () => {
  await expect(trainBpe([], { vocabSize: 513 })).rejects.toThrow(/vocabSize .* from 514 .* got 513/);
  await expect(trainBpe([], { vocabSize: 600.5 })).rejects.toThrow(/got 600.5/);
});
