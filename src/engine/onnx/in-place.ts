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
  return entries.filter((entry) => safe(links, inputName(entry), outputName(entry)));
}

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

function safe(links: Links, entry: Name, update: Name): boolean {
  const { nodes, maker, before, after, views, results } = links;
  const writer = maker.get(update);
  if (writer === undefined) return false;
  const { opType, input } = nodes[writer] as NodeProto;
  const { names, readers } = readersOf(links, entry, writer);
  if (!ELEMENTWISE.has(opType) && input.some((name) => names.has(name))) return false;
  if ([...names].some((name) => results.has(name))) return false;
  const earlier = reached([writer], before);
  const later = reached([writer], after);
  const elsewhere = [...results].flatMap((name) => maker.get(name) ?? []).filter((i) => later[i] !== 1);
  const apart = reached(elsewhere, before);
  const plain = ELEMENTWISE.has(opType) || VIEWS.has(opType);
  return [...readers].every(
    (i) =>
      earlier[i] === 1 &&
      (apart[i] === 1 ||
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

/** 1 for the nodes that can be reached from some, these among them. */
function reached(from: readonly number[], next: readonly (readonly number[])[]): Uint8Array {
  const marks = new Uint8Array(next.length);
  const stack = [...from];
  for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
    if (marks[i] === 1) continue;
    marks[i] = 1;
    for (const j of next[i] ?? []) if (marks[j] !== 1) stack.push(j);
  }
  return marks;
}
