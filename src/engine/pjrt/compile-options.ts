/** XLA's CompileOptionsProto (`xla/pjrt/proto/compile_options.proto`), the few fields of it that are used. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

export interface XlaOptions {
  /** Copies of the program that run side by side. @default 1 */
  readonly replicas?: number;
  /** Devices that one copy is spread over. @default 1 */
  readonly partitions?: number;
  /** Lets the compiler spread the program over the partitions, as its shardings say. @default false */
  readonly spmd?: boolean;
  /** Shardings are Shardy's (`sdy`), not GSPMD's. @default false */
  readonly shardy?: boolean;
  /** Global device ids, [replica][partition]. @default the client's choice */
  readonly devices?: readonly (readonly number[])[];
  /** How many of those are of this process. @default all */
  readonly local?: number;
  /** XLA's flags by name, without dashes. @default none */
  readonly flags?: Readonly<Record<string, string | number | boolean>>;
}

const COMPILE = { build: 3, overrides: 7 } as const;
const BUILD = { replicas: 4, partitions: 5, spmd: 6, assignment: 9, shardy: 19 } as const;
const ASSIGNMENT = { replicas: 1, computations: 2, devices: 3, replicaIds: 1 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const OVERRIDE = { string: 1, bool: 2, int: 3, double: 4 } as const;

export function compileOptionsProto(options: XlaOptions = {}): Uint8Array<ArrayBuffer> {
  const { replicas = 1, partitions = 1, spmd = false, shardy = false, devices, flags = {} } = options;
  const writer = new BinaryWriter();
  writer.tag(COMPILE.build, WireType.LengthDelimited).fork();
  writer.tag(BUILD.replicas, WireType.Varint).int64(replicas);
  writer.tag(BUILD.partitions, WireType.Varint).int64(partitions);
  if (spmd) writer.tag(BUILD.spmd, WireType.Varint).bool(true);
  if (devices) writeAssignment(writer, devices, replicas, partitions);
  if (shardy) writer.tag(BUILD.shardy, WireType.Varint).bool(true);
  writer.join();
  for (const [flag, value] of Object.entries(flags)) writeFlag(writer, flag, value);
  return writer.finish();
}

function writeAssignment(
  writer: BinaryWriter,
  devices: readonly (readonly number[])[],
  replicas: number,
  partitions: number,
): void {
  if (devices.length !== replicas || devices.some((row) => row.length !== partitions))
    throw new Error(
      `pjrt: expected ${replicas} x ${partitions} devices, got rows of [${devices.map((row) => row.length)}]`,
    );
  writer.tag(BUILD.assignment, WireType.LengthDelimited).fork();
  writer.tag(ASSIGNMENT.replicas, WireType.Varint).int32(replicas);
  writer.tag(ASSIGNMENT.computations, WireType.Varint).int32(partitions);
  for (let partition = 0; partition < partitions; partition++) {
    writer.tag(ASSIGNMENT.devices, WireType.LengthDelimited).fork();
    writer.tag(ASSIGNMENT.replicaIds, WireType.LengthDelimited).fork();
    for (const row of devices) writer.int64(row[partition] ?? 0);
    writer.join().join();
  }
  writer.join();
}

/** One of the DebugOptions, which the plugin's environment would set otherwise. */
function writeFlag(writer: BinaryWriter, flag: string, value: string | number | boolean): void {
  writer.tag(COMPILE.overrides, WireType.LengthDelimited).fork();
  writer.tag(ENTRY.key, WireType.LengthDelimited).string(flag);
  writer.tag(ENTRY.value, WireType.LengthDelimited).fork();
  if (typeof value === "string") writer.tag(OVERRIDE.string, WireType.LengthDelimited).string(value);
  else if (typeof value === "boolean") writer.tag(OVERRIDE.bool, WireType.Varint).bool(value);
  else if (Number.isInteger(value)) writer.tag(OVERRIDE.int, WireType.Varint).int64(value);
  else writer.tag(OVERRIDE.double, WireType.Bit64).double(value);
  writer.join().join();
}
