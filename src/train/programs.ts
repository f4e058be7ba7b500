/** The programs of training on an engine. */
import type { CompileOptions, Engine, Program } from "../engine/engine.ts";
import type { TensorType } from "../graph/index.ts";
import type { StatefulGraph } from "./graphs.ts";

export interface Programs<Name extends string> {
  /** Traces and compiles it when it is first asked for. */
  get(name: Name): Promise<Program>;
  /** Spent on tracing and compiling so far. */
  seconds(): number;
  close(): Promise<void>;
}

export function createPrograms<Name extends string>(
  engine: Engine,
  graphs: Readonly<Record<Name, () => StatefulGraph>>,
  options: Omit<CompileOptions, "state">,
): Programs<Name> {
  const programs = new Map<Name, Promise<Program>>();
  const ready: Program[] = [];
  let tracingSeconds = 0;

  const traced = (name: Name): StatefulGraph => {
    const started = performance.now();
    const graph = graphs[name]();
    tracingSeconds += (performance.now() - started) / 1000;
    return graph;
  };

  return {
    get(name) {
      const known = programs.get(name);
      if (known) return known;
      const { graph, state } = traced(name);
      const program = engine.compile(graph, { ...options, state });
      programs.set(name, program);
      void program.then(
        (made) => ready.push(made),
        () => {},
      );
      return program;
    },
    seconds: () => ready.reduce((sum, program) => sum + program.compileSeconds, tracingSeconds),
    async close() {
      for (const program of ready) await program.close();
    },
  };
}

type Types = Readonly<Record<string, TensorType>>;

/** Compiles beside the steps what they need for inputs of some types, one after the other. What fails is said by the step that needs it. */
export function createPreparation<Name extends string>(programs: Programs<Name>, names: readonly Name[]) {
  let isOpen = true;
  const asked = new Set<string>();
  let prepared: Promise<void> = Promise.resolve();
  return {
    prepare(inputs: Types): Promise<void> {
      const types = Object.entries(inputs).map(([name, { dtype, shape }]) => [name, { dtype, shape }] as const);
      const sizes = types.map(([, { shape }]) => shape).join(" ");
      if (asked.has(sizes)) return prepared;
      asked.add(sizes);
      prepared = prepared
        .then(async () => {
          for (const name of names) if (isOpen) await (await programs.get(name)).prepare?.(Object.fromEntries(types));
        })
        .catch(() => {});
      return prepared;
    },
    async close(): Promise<void> {
      isOpen = false;
      await prepared;
    },
  };
}
