/** The checkpoints that the official libraries wrote, and damaged ones: see `golden/make/bundle-checkpoints.mjs`. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { afterAll, beforeAll } from "vitest";

/** Files by path ("micro/state_dict_views.pt"). */
export async function bundledFiles(): Promise<ReadonlyMap<string, Uint8Array>> {
  const packed = await readFile(new URL("../golden/models/checkpoints.br", import.meta.url));
  const whole = brotliDecompressSync(packed);
  let at = 4 + whole.readUInt32LE(0);
  const files = JSON.parse(whole.toString("utf8", 4, at)) as [path: string, size: number][];
  return new Map(
    files.map(([path, size]) => {
      at += size;
      return [path, whole.subarray(at - size, at)];
    }),
  );
}

/** A temporary folder with those of the files that begin with one of some prefixes, while the surrounding tests run. */
export function unpacked(...prefixes: readonly string[]): (path: string) => string {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "clip-ts-test-"));
    for (const [path, bytes] of await bundledFiles()) {
      if (!prefixes.some((prefix) => path.startsWith(prefix))) continue;
      await mkdir(join(folder, dirname(path)), { recursive: true });
      await writeFile(join(folder, path), bytes);
    }
  });
  afterAll(() => rm(folder, { recursive: true }));
  return (path) => join(folder, path);
}
