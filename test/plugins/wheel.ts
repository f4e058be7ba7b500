/** Wheels made byte by byte, so that they can lie. */
import { crc32, deflateRawSync } from "node:zlib";
import type { PluginRelease, Wheel } from "../../src/plugins/wheels.ts";
import { sha256 } from "../hub/server.ts";

export interface Part {
  readonly name: string;
  readonly data?: Uint8Array | string;
  /** Unix mode. */
  readonly mode?: number;
  /** Said instead of the truth. */
  readonly size?: number;
  readonly crc?: number;
  readonly flags?: number;
}

export function zip(parts: readonly Part[]): Uint8Array {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data = "", mode = 0o100644, size, crc, flags = 0 } of parts) {
    const bytes = Buffer.from(data);
    const packed = deflateRawSync(bytes);
    const title = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc ?? crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(size ?? bytes.length, 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, title, packed]);
    const entry = Buffer.alloc(14);
    entry.writeUInt32LE((mode << 16) >>> 0, 6);
    entry.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x03"), common, entry, title]));
    locals.push(local);
    offset += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, list, end]);
}

export const PLUGIN = "fake_pjrt/pjrt_c_api_cpu_plugin.so";

/** What the wheel of a plugin has, and noise that does not pack. */
export const GOOD: readonly Part[] = [
  { name: PLUGIN, data: noise(300_000), mode: 0o100755 },
  { name: "fake_pjrt/__init__.py", data: "print('never')" },
  { name: "fake_pjrt/include/fake.h", data: "int fake;" },
  { name: "fake_pjrt-1.0.dist-info/licenses/LICENSE", data: "do as you like" },
];

function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export function wheelOf(bytes: Uint8Array, name = "fake-pjrt"): Wheel {
  const file = `${name.replaceAll("-", "_")}-1.0-py3-none-any.whl`;
  return { package: name, version: "1.0", file, size: bytes.length, sha256: sha256(bytes), licence: "MIT" };
}

export const releaseOf = (...wheels: readonly Wheel[]): PluginRelease => ({
  ...{ name: "cpu", version: "1.0", wheels, unpacked: 400_000 },
});
