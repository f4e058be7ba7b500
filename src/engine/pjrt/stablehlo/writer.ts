/** StableHLO as text (https://openxla.org/stablehlo/spec): values with their types, a line an operation. */
import { type DType, type HostArray, isFloat, sameShape } from "../../../graph/index.ts";

/** Types of elements: the graph's, and the narrow float of mixed precision. */
export type Element = DType | "bf16";

export const ELEMENTS = {
  f64: "f64",
  f32: "f32",
  bf16: "bf16",
  i32: "i32",
  u8: "ui8",
  bool: "i1",
} as const satisfies Record<Element, string>;

/** A value of the program. */
export interface Value {
  /** `%7`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly element: Element;
}

export type ValueType = Omit<Value, "name">;

/** `tensor<2x3xf32>`. */
export function typeText({ shape, element }: ValueType): string {
  return `tensor<${[...shape, ELEMENTS[element]].join("x")}>`;
}

/** `(operands) -> result`. */
export const signature = (operands: readonly ValueType[], result: ValueType): string =>
  `(${operands.map(typeText).join(", ")}) -> ${typeText(result)}`;

/** The body of one function. */
export class Writer {
  readonly lines: string[] = [];
  readonly #constants = new Map<string, Value>();

  /** A value that an operation makes; `text` is all of the line behind `=`. */
  value(type: ValueType, text: string): Value {
    const name = `%${this.lines.length}`;
    this.lines.push(`${name} = ${text}`);
    return { name, shape: type.shape, element: type.element };
  }

  /** An operation whose operands and result are of one type: `stablehlo.add %a, %b : type`. */
  same(op: string, ...operands: readonly Value[]): Value {
    const [first] = operands;
    if (!first) throw new Error(`${op}: no operands`);
    return this.value(first, `${op} ${operands.map(({ name }) => name).join(", ")} : ${typeText(first)}`);
  }

  /** An operation in its short form with attributes between operands and types. */
  changed(op: string, operands: readonly Value[], attributes: string, result: ValueType): Value {
    const names = operands.map(({ name }) => name).join(", ");
    return this.value(result, `${op} ${names}${attributes} : ${signature(operands, result)}`);
  }

  convert(x: Value, element: Element): Value {
    return x.element === element ? x : this.changed("stablehlo.convert", [x], "", { shape: x.shape, element });
  }

  reshape(x: Value, shape: readonly number[]): Value {
    return sameShape(shape, x.shape) ? x : this.changed("stablehlo.reshape", [x], "", { shape, element: x.element });
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    if (permutation.every((axis, i) => axis === i)) return x;
    const shape = permutation.map((axis) => x.shape[axis] ?? 0);
    return this.changed("stablehlo.transpose", [x], `, dims = [${list(permutation)}]`, { shape, element: x.element });
  }

  /** Axis i becomes axis dimensions[i]; axes of size 1 stretch. */
  broadcast(x: Value, shape: readonly number[], dimensions: readonly number[]): Value {
    const type = { shape, element: x.element };
    return this.changed("stablehlo.broadcast_in_dim", [x], `, dims = [${list(dimensions)}]`, type);
  }

  slice(
    x: Value,
    start: readonly number[],
    limit: readonly number[],
    stride: readonly number[] = start.map(() => 1),
  ): Value {
    const shape = start.map((from, axis) => Math.ceil(((limit[axis] ?? 0) - from) / (stride[axis] ?? 1)));
    const ranges = start.map((from, axis) => `${from}:${limit[axis]}:${stride[axis]}`);
    return this.changed("stablehlo.slice", [x], ` [${list(ranges)}]`, { shape, element: x.element });
  }

  pad(x: Value, low: readonly number[], high: readonly number[], interior: readonly number[]): Value {
    const shape = x.shape.map(
      (size, axis) => (low[axis] ?? 0) + size + (high[axis] ?? 0) + Math.max(0, size - 1) * (interior[axis] ?? 0),
    );
    const amounts = `, low = [${list(low)}], high = [${list(high)}], interior = [${list(interior)}]`;
    return this.changed("stablehlo.pad", [x, this.filled(0, x.element)], amounts, { shape, element: x.element });
  }

  concat(parts: readonly Value[], axis: number): Value {
    const [first] = parts;
    if (!first) throw new Error("stablehlo: nothing to concatenate");
    const size = parts.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
    const shape = first.shape.map((s, i) => (i === axis ? size : s));
    return this.changed("stablehlo.concatenate", parts, `, dim = ${axis}`, { shape, element: first.element });
  }

  reduce(op: "add" | "maximum" | "minimum", x: Value, axes: readonly number[]): Value {
    const start = this.filled(reductionStart(op, x.element), x.element);
    const type = { shape: x.shape.filter((_, axis) => !axes.includes(axis)), element: x.element };
    const types = signature([x, start], type);
    const applied = `applies stablehlo.${op} across dimensions = [${list(axes)}]`;
    return this.value(type, `stablehlo.reduce(${x.name} init: ${start.name}) ${applied} : ${types}`);
  }

  /** Of all elements. */
  sum(x: Value): Value {
    return this.reduce("add", x, [...x.shape.keys()]);
  }

  compare(direction: string, a: Value, b: Value): Value {
    const kind = isFloatElement(a.element) ? "FLOAT" : a.element === "i32" ? "SIGNED" : "UNSIGNED";
    const type: ValueType = { shape: a.shape, element: "bool" };
    const operands = `${direction}, ${a.name}, ${b.name}, ${kind}`;
    return this.value(type, `stablehlo.compare ${operands} : ${signature([a, b], type)}`);
  }

  select(condition: Value, yes: Value, no: Value): Value {
    const names = [condition, yes, no].map(({ name }) => name).join(", ");
    return this.value(yes, `stablehlo.select ${names} : ${typeText(condition)}, ${typeText(yes)}`);
  }

  iota(type: ValueType, axis: number): Value {
    return this.value(type, `stablehlo.iota dim = ${axis} : ${typeText(type)}`);
  }

  /** The first operand, once all are there. */
  barrier(operands: readonly Value[]): Value {
    const [first] = operands;
    if (!first) throw new Error("stablehlo: a barrier of nothing");
    const name = `%${this.lines.length}`;
    const names = operands.map((x) => x.name);
    this.lines.push(
      `${name}:${names.length} = stablehlo.optimization_barrier ${list(names)} : ${list(operands.map(typeText))}`,
    );
    return { ...first, name: `${name}#0` };
  }

  /** One number everywhere. */
  filled(value: number, element: Element, shape: readonly number[] = []): Value {
    const type = { shape, element };
    return this.#once(`${numberText(value, element)} ${typeText(type)}`, () =>
      this.#dense(type, numberText(value, element)),
    );
  }

  /** An array of elements, row-major. */
  array(data: HostArray, dtype: DType, shape: readonly number[]): Value {
    const type: ValueType = { shape, element: dtype };
    if (data.length === 0) return this.#dense(type, "");
    if (dtype === "bool") {
      // MLIR packs bits of i1 in this form.
      const bytes = this.#dense({ shape, element: "u8" }, hexText(data));
      return this.compare("NE", bytes, this.filled(0, "u8", shape));
    }
    return this.#dense(type, hexText(data));
  }

  #dense(type: ValueType, text: string): Value {
    return this.value(type, `stablehlo.constant dense<${text}> : ${typeText(type)}`);
  }

  #once(key: string, make: () => Value): Value {
    const value = this.#constants.get(key) ?? make();
    this.#constants.set(key, value);
    return value;
  }
}

export const list = (items: readonly (number | string)[]): string => items.join(", ");

export const isFloatElement = (element: Element): boolean => element === "bf16" || isFloat(element);

/** What a reduction begins with: the value that changes nothing. */
function reductionStart(op: "add" | "maximum" | "minimum", element: Element): number {
  if (op === "add") return 0;
  const highest = op === "minimum";
  if (isFloatElement(element)) return highest ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  if (element === "i32") return highest ? 2 ** 31 - 1 : -(2 ** 31);
  return highest ? 255 : 0;
}

/** Floats by their bits, so that infinities, NaN, -0 and every digit arrive. */
function numberText(value: number, element: Element): string {
  if (element === "bool") return value ? "true" : "false";
  if (element === "f64") return hexBits(new BigUint64Array(Float64Array.of(value).buffer)[0] ?? 0n, 16);
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  if (element === "f32") return hexBits(bits, 8);
  if (element === "bf16") return hexBits(roundedToBfloat16(bits), 4);
  return `${value}`;
}

const hexBits = (bits: number | bigint, digits: number): string =>
  `0x${bits.toString(16).toUpperCase().padStart(digits, "0")}`;

/** The upper half of a float32's bits, rounded to nearest, ties to even. */
function roundedToBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

const hexText = (data: HostArray): string =>
  `"0x${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex").toUpperCase()}"`;
