import { type Graph, type ResizableGraph, resize, sizesOf } from "../graph/index.ts";
import { type CompileOptions, checkInputs, isStored, type Program } from "./engine.ts";

/** A program of a resizable graph that compiles a static one for each setting of the sizes, when it is first met. */
export function compiledPerSize(
  graph: ResizableGraph,
  { state = [], constants = {} }: CompileOptions,
  compiled: (graph: Graph) => Promise<Program>,
): Program {
  const elsewhere = new Set([...state, ...Object.keys(isStored(constants) ? constants.types : constants)]);
  const programs = new Map<string, Promise<Program>>();
  let seconds = 0;
  const sized = async (sizes: readonly number[]): Promise<Program> => {
    const key = sizes.join();
    const program = programs.get(key) ?? compiled(resize(graph, sizes));
    if (!programs.has(key)) {
      programs.set(key, program);
      program.catch(() => programs.delete(key));
      seconds += (await program).compileSeconds;
    }
    return program;
  };
  return {
    graph,
    get compileSeconds() {
      return seconds;
    },
    run: async (inputs, from) => {
      checkInputs(graph, inputs, elsewhere);
      const program = await sized(sizesOf(graph, (name) => inputs[name]?.shape));
      return program.run(inputs, from);
    },
    close: async () => {
      for (const program of programs.values()) await (await program).close();
      programs.clear();
    },
  };
}
