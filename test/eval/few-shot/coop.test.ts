import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createReferenceEngine } from "../../../src/engine/reference/reference-engine.ts";
import { encodePrompts, learnContext, promptTable } from "../../../src/eval/few-shot/coop.ts";
import { gathered } from "../../../src/eval/learning/stream.ts";
import { gradients, hostTensor, l2Normalize, mul, reduceSum, type Tensor, trace } from "../../../src/graph/index.ts";
import { COLOUR_NAMES, microClip } from "../micro-context.ts";

const engine = createReferenceEngine();
let micro: Awaited<ReturnType<typeof microClip>>;
beforeAll(async () => {
  micro = await microClip(engine);
});
afterAll(async () => {
  await micro.close();
  await engine.close();
});

/** Features of prompts whose learned vectors are the given ones. */
async function featuresWith(contextIds: readonly number[], place: "end" | "middle"): Promise<Float32Array> {
  const { clip } = micro;
  const table = promptTable(clip, COLOUR_NAMES, { vectors: contextIds.length, place });
  const { "token_embedding.weight": words, ...tower } = await clip.readWeights((name) => !name.startsWith("visual."));
  const width = words?.shape[1] ?? 0;
  const all = Float32Array.from(words?.data ?? []);
  const parameters = {
    ...tower,
    words: hostTensor("f32", [table.used.length, width], gathered(all, width, table.used)),
    context: hostTensor("f32", [contextIds.length, width], gathered(all, width, contextIds)),
    tokens: table.tokens,
  };
  const graph = trace(
    Object.fromEntries(Object.entries(parameters).map(([name, { dtype, shape }]) => [name, { dtype, shape }])),
    (x: Readonly<Record<string, Tensor>>) => {
      if (!x.tokens) throw new Error("no tokens");
      return { features: encodePrompts(x, x.tokens, clip.config, table).features };
    },
  );
  const program = await engine.compile(graph);
  const { features } = await program.run(parameters);
  return Float32Array.from(features?.data ?? []);
}

describe("prompts with learned vectors", () => {
  it("are the tower's own features where the vectors are embeddings of words", async () => {
    const { clip } = micro;
    const [before, after] = [clip.tokenizer.encode("a"), clip.tokenizer.encode("b")];
    expect([before.length, after.length]).toEqual([1, 1]);
    const near = (found: Float32Array, rows: readonly Float32Array[]): void => {
      expect(found.length).toBe(rows.length * 16);
      for (const [i, row] of rows.entries())
        for (const [j, x] of row.entries()) expect(Math.abs((found[i * 16 + j] ?? 9) - x)).toBeLessThan(1e-5);
    };
    const ends = await featuresWith([...before, ...after], "end");
    near(ends, await clip.encodeText(COLOUR_NAMES.map((name) => `a b ${name}`)));
    const middle = await featuresWith([...before, ...after], "middle");
    near(middle, await clip.encodeText(COLOUR_NAMES.map((name) => `a ${name} b`)));
    expect(middle).not.toEqual(ends);
  });

  it("have as many vectors as the context leaves room for", () => {
    const longest = Math.max(...COLOUR_NAMES.map((name) => micro.clip.tokenizer.encode(name).length));
    expect(promptTable(micro.clip, COLOUR_NAMES).vectors).toBe(12 - 2 - longest);
    expect(() => promptTable(micro.clip, ["a very long name that nobody can read to its end"])).toThrow(
      /a name of \d+ tokens leaves no room in a context of 12/,
    );
  });

  it("have the gradient of finite differences", async () => {
    const { clip } = micro;
    const table = promptTable(clip, ["red", "blue"], { vectors: 3 });
    const weights = await clip.readWeights((name) => !name.startsWith("visual."));
    const words = weights["token_embedding.weight"];
    const width = words?.shape[1] ?? 0;
    const { "token_embedding.weight": _, ...tower } = weights;
    const double = (data: ArrayLike<number>, shape: readonly number[]) =>
      hostTensor("f64", shape, Float64Array.from(data));
    const held = Object.fromEntries(Object.entries(tower).map(([name, t]) => [name, double(t.data, t.shape)]));
    const context = Float64Array.from({ length: 3 * width }, (_, i) => 0.1 * Math.sin(i));
    const inputs = (vectors: Float64Array) => ({
      ...held,
      words: double(gathered(Float32Array.from(words?.data ?? []), width, table.used), [table.used.length, width]),
      context: double(vectors, [3, width]),
      tokens: table.tokens,
    });
    const types = Object.fromEntries(
      Object.entries(inputs(context)).map(([n, { dtype, shape }]) => [n, { dtype, shape }]),
    );
    const graph = trace(types, (x: Readonly<Record<string, Tensor>>) => {
      if (!x.tokens || !x.context) throw new Error("no inputs");
      const encoded = encodePrompts(x, x.tokens, clip.config, table);
      const features = l2Normalize(encoded.features);
      const value = reduceSum(mul(features, mul(features, features)));
      const [gradient] = gradients(value, [x.context]);
      const [again] = gradients(value, [x.context], { keep: [x.tokens, ...encoded.blockInputs] });
      if (!gradient || !again) throw new Error("no gradient");
      return { value, gradient, again };
    });
    const program = await engine.compile(graph);
    const valueAt = async (vectors: Float64Array): Promise<number> =>
      (await program.run(inputs(vectors))).value?.data[0] ?? Number.NaN;
    const { gradient, again } = await program.run(inputs(context));
    // Blocks that are computed again in the backward pass, as with many classes, change nothing.
    expect(again?.data).toEqual(gradient?.data);
    for (const i of [0, 17, 50, 95]) {
      const moved = (by: number): Float64Array => context.map((x, j) => (j === i ? x + by : x));
      const slope = ((await valueAt(moved(1e-5))) - (await valueAt(moved(-1e-5)))) / 2e-5;
      expect(Math.abs(slope - (gradient?.data[i] ?? 9))).toBeLessThan(1e-7);
      expect(Math.abs(slope)).toBeGreaterThan(1e-7);
    }
  });
});

describe("learning", () => {
  it("lowers the loss of the examples, look by look", async () => {
    const { clip } = micro;
    // Each class's pictures lie where another's name does.
    const texts = await clip.encodeText(COLOUR_NAMES.slice(0, 3), { normalize: true });
    const features = Float32Array.from([1, 2, 0].flatMap((i) => [...(texts[i] ?? [])]));
    const classifiers: Float32Array[] = [];
    await learnContext(
      clip,
      COLOUR_NAMES.slice(0, 3),
      { features, labels: Int32Array.of(0, 1, 2) },
      { vectors: 4, epochs: 60, rate: 0.1, seed: 1, onEpoch: (_, rows) => void classifiers.push(rows) },
    );
    const lossOf = (rows: Float32Array): number => {
      let loss = 0;
      for (let i = 0; i < 3; i++) {
        const logits = [0, 1, 2].map((c) => {
          let sum = 0;
          for (let j = 0; j < 16; j++) sum += (features[i * 16 + j] ?? 0) * (rows[c * 16 + j] ?? 0);
          return clip.logitScale * sum;
        });
        loss += Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0)) - (logits[i] ?? 0);
      }
      return loss / 3;
    };
    const losses = classifiers.map(lossOf);
    console.log(losses);
    expect(losses).toHaveLength(10);
    for (let i = 1; i < losses.length; i++) expect(losses[i]).toBeLessThan(losses[i - 1] ?? 0);
    for (const row of classifiers)
      for (let c = 0; c < 3; c++) expect(Math.hypot(...row.subarray(c * 16, (c + 1) * 16))).toBeCloseTo(1, 5);
  });
});
