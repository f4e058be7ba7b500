/** What devices say to each other in a compiled program: read from the HLO that XLA leaves of it. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Collective } from "../engine.ts";

/** Field numbers of `xla/service/hlo.proto` and `xla/xla_data.proto`. */
const MODULE = { name: 1, computations: 3 } as const;
const WITH_CONFIG = { module: 1 } as const;
const COMPUTATION = { instructions: 2 } as const;
/** Groups of devices stand in one of three places, the newest last. */
const INSTRUCTION = { opcode: 2, shape: 3, groups: 49, deviceList: 87, iota: 92 } as const;
const SHAPE = { type: 2, dimensions: 3, parts: 4 } as const;
const GROUP = { ids: 1 } as const;
const DEVICE_LIST = { groups: 1, iota: 2 } as const;
const IOTA = { perGroup: 2 } as const;

/** Bytes an element by PrimitiveType; what is not there is no array. */
const BYTES: Readonly<Record<number, number>> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 2, 8: 4, 9: 8, 10: 2, 11: 4, 12: 8, 15: 8, 16: 2, 18: 16 },
};

const KINDS = ["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"] as const;

/** Calls `field` with each field of a message; it reads the value or leaves it. */
function eachField(bytes: Uint8Array, field: (no: number, wire: WireType, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [no, wire] = reader.tag();
    if (!field(no, wire, reader)) reader.skip(wire, no);
  }
}

function messagesOf(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  eachField(bytes, (no, wire, reader) => {
    if (no !== wanted || wire !== WireType.LengthDelimited) return false;
    found.push(reader.bytes());
    return true;
  });
  return found;
}

/** Packed or not. */
function numbersOf(bytes: Uint8Array, wanted: number): number[] {
  const found: number[] = [];
  eachField(bytes, (no, wire, reader) => {
    if (no !== wanted) return false;
    if (wire === WireType.Varint) found.push(Number(reader.int64()));
    else if (wire === WireType.LengthDelimited) {
      const packed = new BinaryReader(reader.bytes());
      while (packed.pos < packed.len) found.push(Number(packed.int64()));
    } else return false;
    return true;
  });
  return found;
}

/** Of an array, or of all arrays of a tuple. */
function bytesOfShape(shape: Uint8Array): number {
  const parts = messagesOf(shape, SHAPE.parts);
  if (parts.length > 0) return parts.reduce((sum, part) => sum + bytesOfShape(part), 0);
  const [type = 0] = numbersOf(shape, SHAPE.type);
  return numbersOf(shape, SHAPE.dimensions).reduce((product, size) => product * size, BYTES[type] ?? 0);
}

function groupSize(instruction: Uint8Array): number {
  const lists = messagesOf(instruction, INSTRUCTION.deviceList);
  const [iota] = [
    ...messagesOf(instruction, INSTRUCTION.iota),
    ...lists.flatMap((list) => messagesOf(list, DEVICE_LIST.iota)),
  ];
  if (iota) return numbersOf(iota, IOTA.perGroup)[0] ?? 0;
  const [group] = [
    ...messagesOf(instruction, INSTRUCTION.groups),
    ...lists.flatMap((list) => messagesOf(list, DEVICE_LIST.groups)),
  ];
  return group ? numbersOf(group, GROUP.ids).length : 0;
}

/** Bytes that each device sends where the algorithm is a ring, which none betters by much. */
const SENT: Readonly<Record<Collective["kind"], (result: number, devices: number) => number>> = {
  "all-reduce": (result, n) => (2 * result * (n - 1)) / n,
  "all-gather": (result, n) => (result * (n - 1)) / n,
  "reduce-scatter": (result, n) => result * (n - 1),
  "all-to-all": (result, n) => (result * (n - 1)) / n,
  "collective-permute": (result) => result,
};

/**
 * @param program a serialised HloModuleProto, or HloModuleProtoWithConfig
 * @param devices of the program: the group of what names none
 */
export function collectivesOf(program: Uint8Array, devices: number): Collective[] {
  const [module = program] = isModule(program) ? [program] : messagesOf(program, WITH_CONFIG.module);
  return messagesOf(module, MODULE.computations).flatMap((computation) =>
    messagesOf(computation, COMPUTATION.instructions).flatMap((instruction) => {
      const [opcode] = messagesOf(instruction, INSTRUCTION.opcode);
      // A pair of start and done is one, and its start's result holds operand and result.
      const [, name, start] = /^(.*?)(-start)?$/.exec(new TextDecoder().decode(opcode)) ?? [];
      const kind = KINDS.find((known) => known === name);
      const [shape] = messagesOf(instruction, INSTRUCTION.shape);
      if (!kind || !shape) return [];
      const parts = messagesOf(shape, SHAPE.parts);
      const result = start && kind !== "all-reduce" && parts[1] ? bytesOfShape(parts[1]) : bytesOfShape(shape);
      // Of a permutation each device sends to one.
      const size = kind === "collective-permute" ? 2 : groupSize(instruction) || devices;
      return size < 2 ? [] : [{ kind, devices: size, bytes: result, sent: SENT[kind](result, size) }];
    }),
  );
}

/** Of a module the first field is its name, of one with its configuration a message. */
function isModule(program: Uint8Array): boolean {
  return messagesOf(program, MODULE.computations).length > 0;
}
