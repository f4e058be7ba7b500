/**
 * One evaluation of the linear probe's loss and gradient: in double precision in this thread, on the engine with features that stay
 * there, and with features that are read again each time; beside scikit-learn's (`python/probe_peer.py`), which gets the same numbers. What a million rows and 1,000 classes take follows from it, since the work is rows times classes times width.
 *
 *     npm run build && npx tsc -p bench/tsconfig.json && node dist/bench/probe.js --python bench/python/.venv/bin/python
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createOnnxEngine } from "../src/engine/onnx/onnx-engine.ts";
import { onEngine } from "../src/eval/probe/engine-loss.ts";
import { IN_DOUBLE_PRECISION, type LinearArithmetic } from "../src/eval/probe/softmax-loss.ts";
import { memoryMatrix } from "../src/eval/tasks/features.ts";
import { root, say, whole } from "./command.ts";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "32768" },
    classes: { type: "string", default: "1000" },
    width: { type: "string", default: "512" },
    rounds: { type: "string", default: "5" },
    python: { type: "string" },
  },
});
const rows = whole("rows", values.rows);
const classes = whole("classes", values.classes);
const width = whole("width", values.width);
const rounds = whole("rounds", values.rounds);

/** What the paper's largest probe would have: ImageNet's. */
const LARGEST = { rows: 1_000_000, classes: 1000 };

const data = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i * 12.9898) * 1.7);
const labels = Int32Array.from({ length: rows }, (_, i) => (i * 7919) % classes);
const weights = Float64Array.from({ length: classes * (width + 1) }, (_, i) => 0.01 * Math.sin(i * 78.233));
const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;

async function measure(name: string, arithmetic: LinearArithmetic, share: number): Promise<void> {
  const count = Math.floor(rows * share);
  const some = { rows: memoryMatrix(data.subarray(0, count * width), width), labels: labels.subarray(0, count) };
  const loss = await arithmetic.loss(some, classes);
  const gradient = new Float64Array(weights.length);
  const seconds: number[] = [];
  let value = Number.NaN;
  for (let round = 0; round <= rounds; round++) {
    const begun = performance.now();
    value = await loss.evaluate(weights, gradient);
    if (round > 0) seconds.push((performance.now() - begun) / 1000);
  }
  await loss.close();
  const each = median(seconds);
  const products = 4 * count * classes * width;
  const largest = each * (LARGEST.rows / count) * (LARGEST.classes / classes);
  say(
    `${name}: ${count} rows in ${each.toFixed(3)} s (${Math.min(...seconds).toFixed(3)} to ${Math.max(...seconds).toFixed(3)}), ` +
      `${(products / each / 1e9).toFixed(1)} GFLOPS, loss a row ${(value / count).toFixed(6)}; a million rows of 1,000 classes: ${largest.toFixed(0)} s`,
  );
}

const engine = await createOnnxEngine({ cache: false });
await measure("double precision, one thread", IN_DOUBLE_PRECISION, 1 / 16);
const resident = onEngine(engine);
await measure(`${engine.name}, features stay`, resident, 1);
await resident.close();
const streamed = onEngine(engine, { residentBytes: 0 });
await measure(`${engine.name}, features read again`, streamed, 1);
await streamed.close();
await engine.close();

if (values.python !== undefined) {
  const args = [join(root, "bench", "python", "probe_peer.py"), ...[rows, classes, width, rounds].map(String)];
  spawnSync(values.python, args, { stdio: ["ignore", "inherit", "inherit"] });
}
