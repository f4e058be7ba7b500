/** CLIP.load by a name on the hub: the features of the files that the hub has. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeModel } from "../../src/checkpoint/index.ts";
import { CLIP } from "../../src/clip.ts";
import { convert } from "../../src/convert/index.ts";
import { createOnnxEngine } from "../../src/engine/onnx/onnx-engine.ts";
import { openPretrained } from "../../src/pretrained/index.ts";
import { halfModel } from "../convert/models.ts";
import { startHub } from "./server.ts";

test("a sharded folder of Hugging Face's and one of open_clip's", async () => {
  const place = await mkdtemp(join(tmpdir(), "clip-ts-load-"));
  const hub = await startHub();
  const engine = await createOnnxEngine({ threads: 1, cache: false });
  try {
    const path = join(place, "model.safetensors");
    await writeModel(path, await halfModel("tiny-vit"));
    const picture = {
      width: 40,
      height: 30,
      data: Uint8Array.from({ length: 3600 }, (_, i) => i % 251),
    } as const;
    const direct = await CLIP.load(path, { engine });
    const wanted = await direct.encodeImage(picture);
    const source = await openPretrained(path);
    for (const to of ["hf", "open_clip"] as const) {
      const folder = join(place, to);
      const { files } = await convert(source, folder, { to, verify: false, largestShard: 2_000_000 });
      const contents = await Promise.all(
        files.map(async (name) => [name, await readFile(join(folder, name))] as const),
      );
      const large = files.filter((name) => name.endsWith(".safetensors"));
      hub.repositories.set(`a/${to}`, { commit: "d".repeat(40), files: Object.fromEntries(contents), large });
      const cacheFolder = join(place, "cache");
      for (const offline of [false, true]) {
        const clip = await CLIP.load(`a/${to}`, {
          engine,
          hub: { endpoint: hub.url, cacheFolder, token: "", offline },
        });
        expect(await clip.encodeImage(picture)).toEqual(wanted);
        await clip.close();
      }
      expect((await readdir(join(cacheFolder, `models--a--${to}`, "blobs"))).length).toBe(files.length);
    }
    await source.close();
    await direct.close();
  } finally {
    await engine.close();
    await hub.close();
    await rm(place, { recursive: true });
  }
});
