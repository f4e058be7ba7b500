/** What a compiled program is kept by: everything that its file depends on. */
import { createHash, type Hash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Graph, isResizable, type Tensor } from "../../graph/index.ts";
import { processor } from "../processor.ts";

/** Of the graph, the weights' fingerprint, how it is compiled, our code, onnxruntime and the processor, whose kernels the file is for. */
export async function programKey(graph: Graph, fingerprint: string, options: unknown): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([fingerprint, options, process.platform, process.arch, await processor()]));
  hash.update(await ownCode());
  writeGraph(hash, graph);
  if (isResizable(graph)) writeGraph(hash.update(JSON.stringify(graph.sizes)), graph.twin);
  return hash.digest("hex").slice(0, 32);
}

function writeGraph(hash: Hash, { inputs, outputs, nodes }: Graph): void {
  const places = new Map<Tensor, number>([...inputs, ...nodes].map((tensor, i) => [tensor, i]));
  for (const { op, attrs, inputs: operands } of [...inputs, ...nodes]) {
    hash.update(`${op} ${operands.map((x) => places.get(x))} `);
    hash.update(
      JSON.stringify(attrs, (_, value: unknown) =>
        ArrayBuffer.isView(value)
          ? createHash("sha256")
              .update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
              .digest("hex")
          : value,
      ),
    );
  }
  hash.update(JSON.stringify(outputs.map(({ name, tensor }) => [name, places.get(tensor)])));
}

let code: Promise<string> | undefined;

/** Of the lowering and of the runtime's version: a changed lowering writes other files, and nobody remembers to raise a number. */
function ownCode(): Promise<string> {
  code ??= (async () => {
    const hash = createHash("sha256");
    for (const folder of [import.meta.dirname, join(import.meta.dirname, "..", "..", "graph")])
      for (const name of (await readdir(folder)).filter((file) => /\.[jt]s$/.test(file)).sort())
        hash.update(name).update(await readFile(join(folder, name)));
    const runtime = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
    return hash.update(await readFile(runtime)).digest("hex");
  })();
  return code;
}
