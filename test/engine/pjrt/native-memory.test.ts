import { expect, it } from "vitest";
import { loadNative, Struct } from "../../../src/engine/pjrt/native-memory.ts";

const fields = { handle: "ptr", id: "i32", ready: "bool", count: "size" } as const;

it("lays a struct out as C does, with zeros behind it for what later plugins know", async () => {
  const native = await loadNative();
  const struct = new Struct(native, fields);
  struct.set({ handle: 2n ** 40n, id: -3, ready: true, count: 7 });
  const bytes = native.bytes(struct.address, 104);
  const view = new DataView(bytes.buffer);
  expect(view.getBigUint64(0, true)).toBe(104n); // 40 up to the last field, and 64
  expect([view.getBigUint64(16, true), view.getInt32(24, true), bytes[28], view.getBigUint64(32, true)]).toEqual([
    2n ** 40n,
    -3,
    1,
    7n,
  ]);
  expect(bytes.subarray(40).every((byte) => byte === 0)).toBe(true);
  expect(struct.get()).toEqual({ handle: 2n ** 40n, id: -3, ready: true, count: 7 });
});

it("gives a struct of an array its own length alone", async () => {
  const struct = new Struct(await loadNative(), { id: "i32" }, true);
  expect([struct.stride, new DataView(struct.bytes.buffer).getBigUint64(0, true)]).toEqual([24, 20n]);
});
