/** Our side of bench/gpu.sh: steps of training a CLIP on the XLA engine, from the same few batches, as a line of JSON. */
import { parseArgs } from "node:util";
import { elements } from "../../src/graph/index.ts";
import { CONFIGS, initialise, parameterShapes } from "../../src/model/index.ts";
import { PAPER_ADAM } from "../../src/train/recipe.ts";
import type { PairBatch } from "../../src/train/step-inputs.ts";
import { createTrainer, type StepMetrics } from "../../src/train/trainer.ts";
import { createEngine } from "./engines.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "ViT-B/32" },
    batch: { type: "string", default: "1024" },
    steps: { type: "string", default: "20" },
    warmup: { type: "string", default: "5" },
    precision: { type: "string", default: "bfloat16" },
  },
});
const [batch, steps, warmup] = [values.batch, values.steps, values.warmup].map(Number) as [number, number, number];
const config = Object.entries(CONFIGS).find(([name]) => name === values.model)?.[1];
if (!config) throw new Error(`--model: expected one of ${Object.keys(CONFIGS).join(", ")}, got ${values.model}`);
const precision = (["float32", "bfloat16"] as const).find((name) => name === values.precision);
if (!precision) throw new Error(`--precision: expected float32 or bfloat16, got ${values.precision}`);

/** Captions fill the context, so that nothing can be left out: the peer computes all of it. */
function madeUp(seed: number): PairBatch {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const { contextLength, vocabSize } = config?.text ?? { contextLength: 0, vocabSize: 0 };
  const tokens = Int32Array.from({ length: batch * contextLength }, (_, i) =>
    (i + 1) % contextLength === 0 ? vocabSize - 1 : 1 + Math.floor(next() * (vocabSize - 3)),
  );
  const side = config?.imageSize ?? 0;
  return { images: Uint8Array.from({ length: batch * side * side * 3 }, () => 256 * next()), tokens };
}

const batches = [1, 2].map(madeUp);
const engine = await createEngine();
const trainer = await createTrainer(engine, { config, adam: PAPER_ADAM.vit, batch, precision }, initialise(config, 0));
let done = 0;
const step = (): Promise<StepMetrics> => trainer.step([batches[done % 2] as PairBatch], 5e-4, done++);

const begun = performance.now();
const first = await step();
const firstStep = (performance.now() - begun) / 1000;

/** The next step is sent before the last one's loss is here, as in a training loop that never waits. */
async function timed(count: number): Promise<{ seconds: number; last: StepMetrics }> {
  const start = performance.now();
  let [before, last] = [step(), first];
  for (let i = 1; i < count; i++) {
    const next = step();
    last = await before;
    before = next;
  }
  last = await before;
  return { seconds: (performance.now() - start) / 1000 / count, last };
}

await timed(warmup);
const blocks: number[] = [];
let loss = Number.NaN;
for (let block = 0; block < 4; block++) {
  const { seconds, last } = await timed(Math.max(1, Math.ceil(steps / 4)));
  blocks.push(seconds);
  loss = last.loss;
}
const parameters = Object.values(parameterShapes(config)).reduce((sum, shape) => sum + elements(shape), 0);
process.stdout.write(
  `${JSON.stringify({
    ...{ side: "clip-ts", engine: engine.name, model: values.model, batch, precision, parameters },
    // What the first step took beyond a usual one: as on the peer's side.
    ...{
      firstStep,
      compiling: Math.max(0, firstStep - Math.min(...blocks)),
      firstLoss: first.loss,
      loss,
      seconds: blocks,
    },
  })}\n`,
);
await trainer.close();
await engine.close();
process.exit(); // nothing is to be waited for, whatever the plugin's threads do
