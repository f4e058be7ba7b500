/** What an upload points to has to stay in memory until the plugin has read it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { Client } from "../../src/engine/pjrt/client.ts";
import { loadNative, type NativeFunction } from "../../src/engine/pjrt/native-memory.ts";
import { Plugin } from "../../src/engine/pjrt/plugin.ts";
import { pluginPath } from "./plugin.ts";

/** Of PJRT_Client_BufferFromHostBuffer_Args. */
const DIMS = 40;

it("keeps a tensor's shape and data through a collection of garbage, however the code is compiled", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const native = await loadNative();
  const shapes: string[] = [];
  let others: BigInt64Array[] = [];
  let armed = false;
  /** Collects garbage before a function reads its arguments, and gives the freed memory to others. */
  const disturbed = (plain: NativeFunction): NativeFunction =>
    Object.assign(
      (address: bigint) => {
        if (armed) {
          armed = false;
          collect();
          others = Array.from({ length: 3000 }, () => BigInt64Array.of(77n, 88n));
          for (const other of others) native.address(other);
          const [at = 0n] = new BigUint64Array(native.bytes(address + BigInt(DIMS), 8).buffer);
          shapes.push(new BigInt64Array(native.bytes(at, 16).buffer).join());
          if (shapes.at(-1) !== "12,5") throw new Error("the shape is gone");
        }
        return plain(address);
      },
      { async: plain.async },
    );
  const plugin = new Plugin({ ...native, function: (address) => disturbed(native.function(address)) }, pluginPath());
  const client = new Client(plugin);
  const tensor = { dtype: "f32", shape: [12, 5], data: new Float32Array(60) } as const;
  const upload = (): void => client.destroy(client.upload(tensor));
  // Until the compiler has optimised it: then a variable ends with its last use, not with its function.
  for (let i = 0; i < 30_000; i++) upload();
  for (let i = 0; i < 20; i++) {
    armed = true;
    upload();
  }
  expect(shapes).toEqual(Array.from({ length: 20 }, () => "12,5"));
  expect(others).toHaveLength(3000);
  client.close();
});
