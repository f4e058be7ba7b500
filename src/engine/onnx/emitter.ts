/** Collects ONNX nodes while a graph is lowered, and writes the model. */
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import {
  type DType,
  elements,
  type HostArray,
  type HostTensor,
  hostArray,
  type TensorType,
} from "../../graph/index.ts";

/** A value of the ONNX model. */
export type Name = string;

export const ONNX_TYPE = {
  f64: TensorProto_DataType.DOUBLE,
  f32: TensorProto_DataType.FLOAT,
  i32: TensorProto_DataType.INT32,
  u8: TensorProto_DataType.UINT8,
  bool: TensorProto_DataType.BOOL,
  f16: TensorProto_DataType.FLOAT16,
} as const satisfies Record<DType | "f16", TensorProto_DataType>;

/** Floats of 16 bits, which the graph does not have. */
interface HalfTensor {
  readonly dtype: "f16";
  readonly shape: readonly number[];
  readonly data: Uint16Array<ArrayBuffer>;
}

/** What an initialiser can hold. */
export type Placed = HostTensor | HalfTensor;

/** Integers are ONNX ints; reals are written `{ float: 1 }`, since a whole real must not become an int. */
type Attribute = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, Attribute>>;

/** A small operand that is known when the model is written. */
export type Literal =
  | { readonly kind: "ints"; readonly values: readonly number[] }
  | { readonly kind: "filled"; readonly value: number; readonly dtype: DType; readonly shape: readonly number[] }
  /** 0, 1, 2, ... along the one axis that is not 1. */
  | { readonly kind: "counting"; readonly dtype: DType; readonly shape: readonly number[] };

/** Where an initialiser's bytes stand when the model is written beside a weights file. */
interface ExternalData {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** A model before it is written; changing these changes it. */
export interface ModelParts {
  readonly nodes: NodeProto[];
  readonly initializers: readonly TensorProto[];
  readonly literals: ReadonlyMap<Name, Literal>;
  readonly inputs: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
}

const OPSET = 21n;
/** A version of the format that the pinned onnxruntime reads. */
const IR_VERSION = 10n;

export class Emitter {
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  /** By name, which says what they are: not numbered, so that they do not change how other values are called. */
  readonly #literals = new Map<Name, Literal>();
  /** Values that nodes make, as against inputs and literals. */
  readonly #made = new Set<Name>();
  readonly #renamed = new Map<Name, Name>();
  #next = 0;

  fresh(): Name {
    return `v${this.#next++}`;
  }

  /** Appends a node and returns the names of its outputs. */
  nodes(op: string, inputs: readonly Name[], outputs: number, attributes: Attributes = {}, domain = ""): Name[] {
    const names = Array.from({ length: outputs }, () => this.fresh());
    for (const name of names) this.#made.add(name);
    this.#nodes.push(
      create(NodeProtoSchema, {
        name: `${op} ${names[0] ?? this.fresh()}`,
        opType: op,
        domain,
        input: [...inputs],
        output: names,
        attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
      }),
    );
    return names;
  }

  node(op: string, inputs: readonly Name[], attributes: Attributes = {}, domain = ""): Name {
    return this.nodes(op, inputs, 1, attributes, domain)[0] ?? "";
  }

  /** A kernel of onnxruntime's own. */
  contrib(op: string, inputs: readonly Name[], attributes: Attributes = {}): Name {
    return this.node(op, inputs, attributes, "com.microsoft");
  }

  /** A vector of 64-bit integers, as shape operands want them. */
  ints(values: readonly number[]): Name {
    return this.#literal(`i64 ${values}`, { kind: "ints", values });
  }

  scalar(value: number, dtype: DType): Name {
    return this.filled(value, dtype, []);
  }

  /** A small literal filled with one number. */
  filled(value: number, dtype: DType, shape: readonly number[]): Name {
    const written = Object.is(value, -0) ? "-0" : value;
    return this.#literal(`${dtype} ${written} [${shape}]`, { kind: "filled", value, dtype, shape });
  }

  /** 0, 1, 2, ... along the one axis of `shape` that is not 1. */
  counting(dtype: DType, shape: readonly number[]): Name {
    return this.#literal(`${dtype} counting [${shape}]`, { kind: "counting", dtype, shape });
  }

  /** A literal with given elements; bytes go into the weights file where `external` says so. */
  initializer(name: Name, value: Placed, external?: ExternalData): Name {
    const proto = external
      ? create(TensorProtoSchema, {
          dataType: ONNX_TYPE[value.dtype],
          dims: value.shape.map((size) => BigInt(size)),
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: [
            { key: "location", value: external.file },
            { key: "offset", value: `${external.offset}` },
            { key: "length", value: `${external.length}` },
          ],
        })
      : literal(value);
    proto.name = name;
    this.#initializers.push(proto);
    return name;
  }

  /** Signed bytes, which the graph does not have. */
  int8(shape: readonly number[], data: Int8Array<ArrayBuffer>): Name {
    const name = this.fresh();
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const dims = shape.map((size) => BigInt(size));
    this.#initializers.push(create(TensorProtoSchema, { name, dataType: TensorProto_DataType.INT8, dims, rawData }));
    return name;
  }

  input(name: Name, type: TensorType): Name {
    this.#inputs.push(valueInfo(name, type));
    return name;
  }

  /** Gives a value a public name: the node that makes it writes there, so that nothing is copied. */
  output(name: Name, value: Name, type: TensorType): void {
    if (this.#made.has(value) && !this.#renamed.has(value)) this.#renamed.set(value, name);
    else
      this.#nodes.push(
        create(NodeProtoSchema, { name: `output ${name}`, opType: "Identity", input: [value], output: [name] }),
      );
    this.#outputs.push(valueInfo(name, type));
  }

  /** The model's bytes; under 2 GiB, protobuf's limit. */
  write(): Uint8Array<ArrayBuffer> {
    const pieces = this.pieces();
    const bytes = new Uint8Array(lengthOf(pieces));
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** The same in pieces, the elements of initialisers not copied: protobuf would copy them once for each message that they stand in. */
  pieces(): readonly Uint8Array[] {
    this.#finish();
    const initializers = [...this.#initializers, ...this.#literalProtos()].flatMap(
      ({ $typeName, rawData = new Uint8Array(), ...rest }) =>
        field(GraphProtoSchema.field.initializer, [
          toBinary(TensorProtoSchema, create(TensorProtoSchema, rest)),
          ...(rawData.length > 0 ? field(TensorProtoSchema.field.rawData, [rawData]) : []),
        ]),
    );
    const graph = create(GraphProtoSchema, {
      name: "clip-ts",
      node: this.#nodes,
      input: this.#inputs,
      output: this.#outputs,
    });
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: "clip-ts",
      opsetImport: [...new Set(["", ...this.#nodes.map(({ domain }) => domain)])].map((domain) => ({
        domain,
        version: domain === "" ? OPSET : 1n,
      })),
    });
    return [
      toBinary(ModelProtoSchema, model),
      ...field(ModelProtoSchema.field.graph, [toBinary(GraphProtoSchema, graph), ...initializers]),
    ];
  }

  parts(): ModelParts {
    this.#finish();
    return {
      nodes: this.#nodes,
      initializers: this.#initializers,
      literals: this.#literals,
      inputs: this.#inputs,
      outputs: this.#outputs,
    };
  }

  /** Values that became outputs get their public names; nodes whose results no kernel wanted in the end go. */
  #finish(): void {
    const final = (name: Name): Name => this.#renamed.get(name) ?? name;
    for (const node of this.#nodes) {
      node.input = node.input.map(final);
      node.output = node.output.map(final);
    }
    this.#renamed.clear();
    const wanted = new Set(this.#outputs.map(({ name }) => name));
    const needed = this.#nodes.toReversed().filter(({ input, output }) => {
      const isNeeded = output.some((name) => wanted.has(name));
      if (isNeeded) for (const name of input) wanted.add(name);
      return isNeeded;
    });
    this.#nodes.splice(0, this.#nodes.length, ...needed.reverse());
  }

  #literalProtos(): TensorProto[] {
    const used = new Set(this.#nodes.flatMap(({ input }) => input));
    return [...this.#literals].flatMap(([name, known]) => (used.has(name) ? [{ ...literalProto(known), name }] : []));
  }

  #literal(name: Name, literal: Literal): Name {
    this.#literals.set(name, literal);
    return name;
  }
}

const lengthOf = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** A field of bytes, or of a message whose fields stand in several pieces. */
function field({ number }: { readonly number: number }, content: readonly Uint8Array[]): Uint8Array[] {
  const header = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(lengthOf(content)).finish();
  return [header, ...content];
}

function attributeProto(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string")
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if ("float" in value)
    return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, {
    name,
    type: AttributeProto_AttributeType.INTS,
    ints: value.map((i) => BigInt(i)),
  });
}

function literalProto(known: Literal): TensorProto {
  if (known.kind === "ints")
    return create(TensorProtoSchema, {
      dataType: TensorProto_DataType.INT64,
      dims: [BigInt(known.values.length)],
      int64Data: known.values.map((value) => BigInt(value)),
    });
  const { dtype, shape } = known;
  const data = hostArray(dtype, elements(shape));
  return literal({ dtype, shape, data: known.kind === "filled" ? data.fill(known.value) : data.map((_, i) => i) });
}

function literal({ dtype, shape, data }: Placed): TensorProto {
  return create(TensorProtoSchema, {
    dataType: ONNX_TYPE[dtype],
    dims: shape.map((size) => BigInt(size)),
    rawData: bytesOf(data),
  });
}

/** The bytes of a host array, not copied. */
export function bytesOf(data: HostArray | Uint16Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

function valueInfo(name: Name, { shape, dtype }: TensorType): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: ONNX_TYPE[dtype],
          shape: {
            dim: shape.map((size) =>
              create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: BigInt(size) } }),
            ),
          },
        },
      },
    },
  });
}
