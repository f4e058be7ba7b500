import type { Engine, Program } from "../engine/engine.ts";
import { hostTensor, linear, trace } from "../graph/index.ts";
import type { Products } from "./retrieval.ts";

export interface EngineProducts {
  readonly products: Products;
  /** The engine stays open. */
  close(): Promise<void>;
}

/** Blocks of scores on an engine, a program for each size of block: those in the middle and those at the ends. */
export function engineProducts(engine: Engine): EngineProducts {
  const programs = new Map<string, Promise<Program>>();
  const compiled = (rows: number, columns: number, width: number): Promise<Program> => {
    const key = `${rows} ${columns} ${width}`;
    const known = programs.get(key);
    if (known) return known;
    const types = {
      rows: { dtype: "f32", shape: [rows, width] },
      columns: { dtype: "f32", shape: [columns, width] },
    } as const;
    const program = engine.compile(trace(types, (x) => ({ scores: linear(x.rows, x.columns) })));
    program.catch(() => programs.delete(key));
    programs.set(key, program);
    return program;
  };
  return {
    async products(rows, columns, width) {
      const [n, m] = [rows.length / width, columns.length / width];
      const program = await compiled(n, m, width);
      const { scores } = await program.run({
        rows: hostTensor("f32", [n, width], rows),
        columns: hostTensor("f32", [m, width], columns),
      });
      if (!(scores?.data instanceof Float32Array)) throw new Error("retrieval: the engine gave no scores");
      return scores.data;
    },
    async close() {
      for (const program of programs.values()) await (await program).close();
      programs.clear();
    },
  };
}
