/** Bytes of XLA's CompileOptionsProto: those of one device are what JAX writes, the others are read by a decoder of the wire format. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { compileOptionsProto } from "../../../src/engine/pjrt/compile-options.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Fields by number: bytes of nested ones, numbers of the others. */
function fields(bytes: Uint8Array): Map<number, (Uint8Array | number)[]> {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, (Uint8Array | number)[]>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const value = type === 2 ? reader.bytes() : type === 1 ? reader.double() : Number(reader.int64());
    found.set(field, [...(found.get(field) ?? []), value]);
  }
  return found;
}

const nested = (map: Map<number, (Uint8Array | number)[]>, field: number): Map<number, (Uint8Array | number)[]> => {
  const value = map.get(field)?.[0];
  if (!(value instanceof Uint8Array)) throw new Error(`field ${field} is not nested`);
  return fields(value);
};

describe("compile options", () => {
  it("of one device", () => expect(hex(compileOptionsProto())).toBe("1a0420012801"));

  it("of partitions that the compiler spreads the program over", () => {
    const build = nested(
      fields(compileOptionsProto({ partitions: 4, spmd: true, shardy: true, devices: [[0, 2, 1, 3]] })),
      3,
    );
    expect([4, 5, 6, 19].map((field) => build.get(field)?.[0])).toEqual([1, 4, 1, 1]);
    const assignment = nested(build, 9);
    expect([1, 2].map((field) => assignment.get(field)?.[0])).toEqual([1, 4]);
    const devices = (assignment.get(3) ?? []).map((one) => one instanceof Uint8Array && hex(one));
    expect(devices).toEqual(["0a0100", "0a0102", "0a0101", "0a0103"]);
  });

  it("refuse devices that are not replicas x partitions", () =>
    expect(() => compileOptionsProto({ partitions: 2, devices: [[0]] })).toThrow(
      "expected 1 x 2 devices, got rows of [1]",
    ));

  it("carry flags of every kind", () => {
    const flags = { xla_dump_to: "/tmp/x", xla_cpu_enable_fast_math: false, xla_level: 2, xla_share: 0.5 };
    const overrides = fields(compileOptionsProto({ flags })).get(7) ?? [];
    const read = overrides.map((entry) => {
      if (!(entry instanceof Uint8Array)) throw new Error("an override is nested");
      const name = fields(entry).get(1)?.[0];
      const [[kind, values] = []] = nested(fields(entry), 2);
      const value = values?.[0];
      return [
        Buffer.from(name as Uint8Array).toString(),
        kind,
        value instanceof Uint8Array ? `${Buffer.from(value)}` : value,
      ];
    });
    expect(read).toEqual([
      ["xla_dump_to", 1, "/tmp/x"],
      ["xla_cpu_enable_fast_math", 2, 0],
      ["xla_level", 3, 2],
      ["xla_share", 4, 0.5],
    ]);
  });
});
