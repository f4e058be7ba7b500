/**
 * ONNX models with free sizes: a graph and its twin are lowered, and where the two models have different numbers, nodes work them out
 * from the shapes of the inputs.
 */
import { equals } from "@bufbuild/protobuf";
import { AttributeProtoSchema, type NodeProto, type ValueInfoProto } from "onnx-buf";
import { type FreeSize, type Multiple, multiple, type ResizableGraph } from "../../graph/index.ts";
import type { Kernels } from "./context.ts";
import type { Emitter, Literal, ModelParts, Name } from "./emitter.ts";
import { type LowerOptions, lower } from "./lower.ts";
import { inputName } from "./names.ts";

/** Lowers a resizable graph. @throws where the two lowerings differ in more than numbers that are multiples of the sizes */
export function lowerResizable(graph: ResizableGraph, provider: Kernels, options: LowerOptions): Emitter {
  const emit = lower(graph, provider, options);
  // Of the twin's weights only the names are needed.
  const twin = lower(graph.twin, provider, { ...options, place: (emitter) => emitter.fresh() });
  join(emit, emit.parts(), twin.parts(), graph);
  return emit;
}

function join(emit: Emitter, here: ModelParts, twin: ModelParts, graph: ResizableGraph): void {
  const { nodes } = here;
  if (nodes.length !== twin.nodes.length) throw differs(`${nodes.length} and ${twin.nodes.length} nodes`);
  const before = nodes.length;
  const numbers = new FreeNumbers(emit, graph);
  for (const [i, node] of nodes.slice().entries()) {
    const other = twin.nodes[i];
    if (!other || !sameKind(node, other)) throw differs(`${node.name} and ${other?.name}`);
    node.input = node.input.map((name, operand) => {
      const there = other.input[operand] ?? "";
      if (name === there) return name;
      const [a, b] = [here.literals.get(name), twin.literals.get(there)];
      if (!a || !b) throw differs(`operand ${operand} of ${node.name}`);
      return numbers.literal(a, b, node.opType === "Reshape");
    });
  }
  // What works the numbers out comes first.
  nodes.unshift(...nodes.splice(before));
  const theirs = new Map(twin.initializers.map((proto) => [proto.name, proto]));
  for (const { name, dims, rawData } of here.initializers) {
    const other = theirs.get(name);
    if (other && (`${other.dims}` !== `${dims}` || !sameBytes(other.rawData, rawData)))
      throw differs(`a constant of [${dims}] elements`);
  }
  for (const side of ["inputs", "outputs"] as const)
    for (const [i, info] of here[side].entries()) freeDimensions(info, twin[side][i], graph.sizes);
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  (a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.length === b.length) || Buffer.compare(a, b) === 0;

const differs = (what: string): Error => new Error(`onnx: at other sizes the program is another: ${what}`);

function sameKind(a: NodeProto, b: NodeProto): boolean {
  return (
    a.opType === b.opType &&
    a.domain === b.domain &&
    a.input.length === b.input.length &&
    a.attribute.length === b.attribute.length &&
    `${a.output}` === `${b.output}` &&
    a.attribute.every((attribute, i) => {
      const other = b.attribute[i];
      return other !== undefined && equals(AttributeProtoSchema, attribute, other);
    })
  );
}

/** Numbers that depend on the free sizes, as values of the model. */
class FreeNumbers {
  readonly #emit: Emitter;
  readonly #graph: ResizableGraph;
  readonly #known = new Map<string, Name>();

  constructor(emit: Emitter, graph: ResizableGraph) {
    this.#emit = emit;
    this.#graph = graph;
  }

  /** The value that is `here` in the graph and `twin` in its twin; as a Reshape's operand it may leave one size open. */
  literal(here: Literal, twin: Literal, reshape: boolean): Name {
    const emit = this.#emit;
    if (here.kind === "ints" && twin.kind === "ints" && here.values.length === twin.values.length) {
      const parts = here.values.map((value, i) => this.#multiple(value, twin.values[i] ?? Number.NaN));
      const free = parts.filter(({ of }) => of.length > 0);
      if (reshape && free.length === 1 && !here.values.includes(-1))
        return emit.ints(parts.map(({ factor, of }) => (of.length > 0 ? -1 : factor)));
      return this.#once(`ints ${here.values}`, () => {
        const names = parts.map((part) => this.#number(part));
        return names.length === 1 ? (names[0] ?? "") : emit.node("Concat", names, { axis: 0 });
      });
    }
    if (here.kind === "filled" && twin.kind === "filled" && here.shape.length === twin.shape.length) {
      const { value, dtype, shape } = here;
      if (value !== twin.value && dtype !== "i32") throw differs(`constants ${value} and ${twin.value}`);
      const part = value === twin.value ? undefined : this.#multiple(value, twin.value);
      return this.#once(`filled ${dtype} ${value} ${shape} ${twin.value} ${twin.shape}`, () => {
        const number = part && emit.node("Cast", [this.#number(part)], { to: INT32 });
        if (shape.length === 0)
          return number ? emit.node("Reshape", [number, emit.ints([])]) : emit.scalar(value, dtype);
        const sizes = this.literal({ kind: "ints", values: shape }, { kind: "ints", values: twin.shape }, false);
        return emit.node("Expand", [number ?? emit.scalar(value, dtype), sizes]);
      });
    }
    if (here.kind === "counting" && twin.kind === "counting" && here.dtype === "i32" && twin.dtype === "i32") {
      const axis = here.shape.findIndex((size) => size !== 1);
      const part = this.#multiple(here.shape[axis] ?? 1, twin.shape[axis] ?? 1);
      return this.#once(`counting ${here.shape}`, () => {
        const scalar = (name: Name): Name => emit.node("Reshape", [name, emit.ints([])]);
        const [first, limit, step] = [emit.ints([0]), this.#number(part), emit.ints([1])].map(scalar) as [
          Name,
          Name,
          Name,
        ];
        const counted = emit.node("Cast", [emit.node("Range", [first, limit, step])], { to: INT32 });
        return emit.node("Reshape", [counted, emit.ints(here.shape.map((size) => (size === 1 ? 1 : -1)))]);
      });
    }
    throw differs(`constants ${JSON.stringify(here)} and ${JSON.stringify(twin)}`);
  }

  #multiple(here: number, twin: number): Multiple {
    const found = multiple(here, twin, this.#graph.sizes);
    if (!found) throw differs(`${here} and ${twin} are no multiples of the sizes`);
    return found;
  }

  /** i64 [1]. */
  #number({ factor, of }: Multiple): Name {
    const emit = this.#emit;
    if (of.length === 0) return emit.ints([factor]);
    return this.#once(`number ${factor} ${of}`, () => {
      const names = [...of.map((index) => this.#size(index)), ...(factor === 1 ? [] : [emit.ints([factor])])];
      return names.reduce((a, b) => emit.node("Mul", [a, b]));
    });
  }

  /** i64 [1]: a free size, from the first input that has it. */
  #size(index: number): Name {
    return this.#once(`size ${index}`, () => {
      const { inputs, twin, sizes } = this.#graph;
      const size = sizes[index];
      for (const [i, { attrs, shape }] of inputs.entries()) {
        const axis = shape.findIndex((here, at) => here === size?.here && twin.inputs[i]?.shape[at] === size.twin);
        if (axis >= 0) return this.#emit.node("Shape", [inputName(attrs.name)], { start: axis, end: axis + 1 });
      }
      throw new Error(`onnx: no input has ${size?.name}`);
    });
  }

  #once(key: string, make: () => Name): Name {
    const known = this.#known.get(key) ?? make();
    this.#known.set(key, known);
    return known;
  }
}

const INT32 = 6;

/** Names the free dimensions of an input or output: `batch`, `3*batch`. */
function freeDimensions(info: ValueInfoProto, twin: ValueInfoProto | undefined, sizes: readonly FreeSize[]): void {
  const dims = ({ type }: ValueInfoProto) =>
    type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
  const there = twin ? dims(twin) : [];
  for (const [axis, dim] of dims(info).entries()) {
    const [a, b] = [dim.value, there[axis]?.value];
    if (a.case !== "dimValue" || b?.case !== "dimValue" || a.value === b.value) continue;
    const found = multiple(Number(a.value), Number(b.value), sizes);
    if (!found) throw differs(`output sizes ${a.value} and ${b.value}`);
    const names = found.of.map((i) => sizes[i]?.name ?? "");
    dim.value = { case: "dimParam", value: [...(found.factor === 1 ? [] : [found.factor]), ...names].join("*") };
  }
}
