// One of several processes that train together, on an engine that stands for a cluster's: every process computes the whole step, of rows
// that each gives a part of. What is around the engine cannot tell.
import { createOnnxEngine } from "../../dist/src/engine/onnx/onnx-engine.js";
import { cut, hostTensor, meshSize, pieceOf } from "../../dist/src/graph/index.js";
import { joinNodes } from "../../dist/src/nodes/index.js";
import { train } from "../../dist/src/train/loop.js";
import { openRunFolder } from "../../dist/src/train/run-folder.js";

const { folder, mesh, fsdp, ...options } = JSON.parse(process.argv[2]);
const group = await joinNodes(options);
const inner = await createOnnxEngine({ threads: 1 });
const states = new Map();
let runs = 0;
let last = Promise.resolve();

async function together(name, value, turn) {
  const bytes = new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
  await group.put(`${turn} ${name} ${group.node}`, bytes);
  const parts = [];
  for (let node = 0; node < group.nodes; node++) parts.push(await group.get(`${turn} ${name} ${node}`, 60_000));
  const whole = new Uint8Array(Buffer.concat(parts));
  const data = new value.data.constructor(whole.buffer);
  return hostTensor(value.dtype, [value.shape[0] * group.nodes, ...value.shape.slice(1)], data);
}

const engine = {
  name: "a cluster of one machine",
  mesh,
  rows: { index: group.node, of: group.nodes },
  async createState(values, shardings) {
    const state = await inner.createState(values);
    const perNode = meshSize(mesh) / group.nodes;
    const seen = {
      names: state.names,
      read: () => Promise.reject(new Error("read: other processes hold some of it")),
      async readPiece(name, start) {
        const value = (await state.read([name]))[name];
        const places = Array.from({ length: perNode }, (_, i) =>
          pieceOf(value.shape, shardings[name] ?? [], mesh, group.node * perNode + i),
        );
        const held = places.find((piece) => piece.start.join() === start.join());
        if (!held) throw new Error(`node ${group.node} does not hold ${name} at [${start}]`);
        return cut(value, held);
      },
      close: () => state.close(),
    };
    states.set(seen, state);
    return seen;
  },
  async compile(graph, { shardings, ...rest }) {
    const program = await inner.compile(graph, rest);
    return {
      graph,
      compileSeconds: program.compileSeconds,
      run(inputs, state) {
        const turn = runs++;
        const ended = last.then(async () => {
          const whole = {};
          for (const [name, value] of Object.entries(inputs))
            whole[name] = shardings[name]?.[0]?.includes("data") ? await together(name, value, turn) : value;
          return program.run(whole, states.get(state));
        });
        last = ended.catch(() => {});
        return ended;
      },
      close: () => program.close(),
    };
  },
  close: () => inner.close(),
};

try {
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  const progress = { show: ({ step, loss }) => process.stdout.write(`step ${step} ${loss}\n`) };
  const run = await openRunFolder(folder);
  const result = await train(run, { engine, group, fsdp, progress, signal: stop.signal, loaderWorkers: 0 });
  await group.leave();
  process.stdout.write(`${result.finished ? "finished" : "stopped"} ${result.step} ${result.checkpoint}\n`);
  process.exit(0);
} catch (error) {
  process.stdout.write(`failed: ${error.message}\n`);
  await group.fail(error.message);
  process.exit(1);
}
