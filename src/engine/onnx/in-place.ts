/**
 * Which state entries a program may update where they stand, without a second buffer: those that nothing reads any more when their
 * update is written. Worked out on the ONNX nodes, since a lowering may read an entry again, or share what it made of one. onnxruntime
 * runs the nodes one after the other in some order that respects their operands, and before that merges, removes and fuses some.
 */
import type { NodeProto } from "onnx-buf";
import type { ModelParts, Name } from "./emitter.ts";
import { inputName, outputName } from "./names.ts";

/** Each element is read before the same element is written. */
const ELEMENTWISE: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div", "Max", "Min"]);

/** Their result may be their operand's own memory: at once (Reshape), or where onnxruntime finds that they change nothing. */
const VIEWS: ReadonlySet<string> = new Set([
  "Reshape",
  "Identity",
  "Squeeze",
  "Unsqueeze",
  "Transpose",
  "Expand",
  "Concat",
  "Slice",
  "Split",
  "Cast",
]);

/**
 * An entry is updated in place if
 * 1. every node that reads it, also through views, comes before the one that writes its update, whatever the order; or is that one;
 * 2. the writer reads it element by element, or not at all;
 * 3. none of its readers can become one kernel with the writer, except two plain arithmetic operations, which are never fused. A fused
 *    kernel has one result, so that a reader which another result depends on too, not by way of the writer, stays apart.
 * @returns those of the entries
 */
export function updatedInPlace(parts: ModelParts, entries: readonly string[]): string[] {
  const links = linked(parts);
  const candidates = entries.flatMap((entry) => {
    const writer = links.maker.get(outputName(entry));
    return writer === undefined ? [] : [{ entry, writer }];
  });
  const safe: string[] = [];
  // A bit an entry: one pass over the nodes serves as many as a word has.
  for (let first = 0; first < candidates.length; first += WORD) {
    const group = candidates.slice(first, first + WORD);
    const reach = reached(
      links,
      group.map(({ writer }) => writer),
    );
    for (const [bit, { entry, writer }] of group.entries())
      if (isSafe(links, inputName(entry), writer, reach, 1 << bit)) safe.push(entry);
  }
  return safe;
}

const WORD = 32;

/** Nodes by their positions. */
interface Links {
  readonly nodes: readonly NodeProto[];
  readonly maker: ReadonlyMap<Name, number>;
  readonly readers: ReadonlyMap<Name, readonly number[]>;
  readonly results: ReadonlySet<Name>;
  readonly before: readonly (readonly number[])[];
  readonly after: readonly (readonly number[])[];
  /** Those whose result may be the memory of an operand. */
  readonly views: readonly boolean[];
}

function linked({ nodes, inputs, outputs }: ModelParts): Links {
  const maker = new Map(nodes.flatMap(({ output }, i) => output.map((name) => [name, i] as const)));
  const readers = new Map<Name, number[]>();
  for (const [i, { input }] of nodes.entries())
    for (const name of new Set(input)) {
      const known = readers.get(name);
      if (known) known.push(i);
      else readers.set(name, [i]);
    }
  const varying = new Set(inputs.map(({ name }) => name));
  for (const { input, output } of nodes)
    if (input.some((name) => varying.has(name))) for (const name of output) varying.add(name);
  return {
    nodes,
    maker,
    readers,
    results: new Set(outputs.map(({ name }) => name)),
    before: nodes.map(({ input }) => input.flatMap((name) => maker.get(name) ?? [])),
    after: nodes.map(({ output }) => output.flatMap((name) => readers.get(name) ?? [])),
    // Arithmetic with a constant is removed where that is 0 or 1.
    views: nodes.map(
      ({ opType, input }) =>
        VIEWS.has(opType) || (ELEMENTWISE.has(opType) && !input.every((name) => varying.has(name))),
    ),
  };
}

/** For each node a bit for each of some writers. */
interface Reach {
  /** The writer, or what it depends on. */
  readonly earlier: Int32Array;
  /** What a result depends on that does not depend on the writer. */
  readonly apart: Int32Array;
}

function isSafe(links: Links, entry: Name, writer: number, { earlier, apart }: Reach, bit: number): boolean {
  const { nodes, after, views, results } = links;
  const marked = (marks: Int32Array, i: number): boolean => ((marks[i] ?? 0) & bit) !== 0;
  const { opType, input } = nodes[writer] as NodeProto;
  const { names, readers } = readersOf(links, entry, writer);
  if (!ELEMENTWISE.has(opType) && input.some((name) => names.has(name))) return false;
  if ([...names].some((name) => results.has(name))) return false;
  const plain = ELEMENTWISE.has(opType) || VIEWS.has(opType);
  return [...readers].every(
    (i) =>
      marked(earlier, i) &&
      (marked(apart, i) ||
        views[i] ||
        (plain && ELEMENTWISE.has(nodes[i]?.opType ?? "") && after[i]?.every((user) => user === writer))),
  );
}

/** What may be the entry's memory, and the nodes that read it, except for the writer. */
function readersOf(
  { nodes, readers, views }: Links,
  entry: Name,
  writer: number,
): { readonly names: ReadonlySet<Name>; readonly readers: ReadonlySet<number> } {
  const names = new Set([entry]);
  const found = new Set<number>();
  // A set goes on over what is added to it meanwhile.
  for (const name of names)
    for (const i of readers.get(name) ?? []) {
      if (i === writer) continue;
      found.add(i);
      if (views[i]) for (const view of nodes[i]?.output ?? []) names.add(view);
    }
  return { names, readers: found };
}

/** Nodes stand behind those whose results they read: each of the three marks is one pass. */
function reached({ nodes, maker, results, before }: Links, writers: readonly number[]): Reach {
  const [earlier, later, apart] = [0, 1, 2].map(() => new Int32Array(nodes.length)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  for (const [bit, writer] of writers.entries()) {
    earlier[writer] = (earlier[writer] ?? 0) | (1 << bit);
    later[writer] = (later[writer] ?? 0) | (1 << bit);
  }
  for (let i = 0; i < nodes.length; i++)
    for (const operand of before[i] ?? []) later[i] = (later[i] ?? 0) | (later[operand] ?? 0);
  for (const name of results) {
    const i = maker.get(name);
    if (i !== undefined) apart[i] = ~(later[i] ?? 0);
  }
  for (let i = nodes.length - 1; i >= 0; i--)
    for (const operand of before[i] ?? []) {
      earlier[operand] = (earlier[operand] ?? 0) | (earlier[i] ?? 0);
      apart[operand] = (apart[operand] ?? 0) | (apart[i] ?? 0);
    }
  return { earlier, apart };
}
