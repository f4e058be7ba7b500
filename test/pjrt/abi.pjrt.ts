/** The layouts of abi.ts beside the plugin's own, which it tells where a struct is too short. */
import { expect, it } from "vitest";
import { API, type Fields, FUNCTIONS, SIZES } from "../../src/engine/pjrt/abi.ts";
import { loadNative } from "../../src/engine/pjrt/native-memory.ts";
import { loadPlugin, PjrtError } from "../../src/engine/pjrt/plugin.ts";
import { pluginPath } from "./plugin.ts";

/** From the header to the end of the last field. */
const lengthOf = (fields: Fields): number =>
  Object.values(fields).reduce((end, kind) => Math.ceil(end / SIZES[kind]) * SIZES[kind] + SIZES[kind], 16);

it("knows of each function all fields that the plugin knows", async () => {
  const native = await loadNative();
  const plugin = await loadPlugin(pluginPath(), ["/nowhere/libcufft.so.11"]); // missed by programs that need it alone
  const api = native.callPlain(native.symbol(native.open(pluginPath()), "GetPjrtApi") ?? 0n) ?? 0n;
  const functions = Object.entries(FUNCTIONS).filter(([name]) => !name.startsWith("Error_")); // those return no error
  const lengths = functions.map(([name, { slot, fields }]) => {
    const at = new BigUint64Array(native.bytes(api + BigInt(API.table + 8 * slot), 8).buffer)[0] ?? 0n;
    const { address } = native.allocate(512); // a struct that says it has 0 bytes
    try {
      plugin.check(native.function(at)(address));
      return [name, lengthOf(fields), "accepted"];
    } catch (error) {
      if (!(error instanceof PjrtError)) throw error;
      const [, wanted] = / size: expected (\d+), got 0/.exec(error.message) ?? [];
      return [name, lengthOf(fields), Number(wanted)];
    } finally {
      native.free(address);
    }
  });
  expect(lengths.filter(([, ours, theirs]) => !(Number(theirs) <= Number(ours)))).toEqual([]);
});
