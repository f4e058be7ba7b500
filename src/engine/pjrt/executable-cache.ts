/**
 * Compiled programs on disk, where the plugin can serialise them: a step that XLA compiles for half a minute is loaded in a second. The
 * plugin says what it wrote, so that its word is taken only for what it wrote itself, unchanged, for the same devices.
 */
import { createHash } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sealedCache } from "../../cache/index.ts";
import { processor } from "../processor.ts";
import type { Client } from "./client.ts";
import { compileOptionsProto, type XlaOptions } from "./compile-options.ts";
import type { Executable } from "./executable.ts";
import { PjrtError } from "./plugin.ts";

export type Compile = (module: string, options: XlaOptions) => Promise<Executable>;

const FILE = "executable.bin";
/** Bytes of all programs together; the ones used longest ago go first. */
const LARGEST = 8 * 2 ** 30;
/** Programs that compile faster are as quickly compiled as found, in seconds. */
const WORTH_KEEPING = 0.1;

/** What compiles StableHLO and keeps what took long in a folder. */
export function cachedCompile(client: Client, folder: string): Compile {
  const cache = sealedCache(folder, { hashed: [FILE], sized: [], largest: LARGEST });
  const { plugin } = client;
  if (!plugin.has("Executable_Serialize") || !plugin.has("Executable_DeserializeAndLoad"))
    return (module, options) => client.compile(module, options);
  let machine: Promise<string> | undefined;
  return async (module, options) => {
    machine ??= machineOf(client);
    const hash = createHash("sha256").update(await machine);
    const key = hash.update(compileOptionsProto(options)).update(module).digest("hex").slice(0, 32);
    const place = await cache.find(key);
    if (place !== undefined) {
      try {
        return await client.load(await readFile(join(place, FILE)), options);
      } catch {
        await cache.forget(key); // another build under the same name: compiled anew
      }
    }
    const begun = performance.now();
    const executable = await client.compile(module, options);
    if ((performance.now() - begun) / 1000 < WORTH_KEEPING) return executable;
    const bytes = serialized(executable);
    if (bytes) await cache.keep(key, async (beside) => beside && writeFile(join(beside, FILE), bytes)).catch(() => {});
    return executable;
  };
}

/** Some programs hold what cannot be written: host callbacks, for one. */
function serialized(executable: Executable): Uint8Array | undefined {
  try {
    return executable.serialize();
  } catch (error) {
    if (error instanceof PjrtError) return undefined;
    throw error;
  }
}

/** The plugin's file, version and the devices, and what else XLA's choices depend on. */
async function machineOf({ plugin, platform, version, devices }: Client): Promise<string> {
  const { size, mtimeMs } = await stat(plugin.path);
  const kinds = devices.map(({ id, kind }) => [id, kind]);
  const file = [plugin.path, size, mtimeMs, plugin.version, plugin.attributes()];
  return JSON.stringify([file, platform, version, kinds, process.env.XLA_FLAGS, await processor()]);
}
