/** The cache is shared with Python's huggingface_hub: each uses what the other fetched, and fetches nothing again. */
import { mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchModel } from "../../src/hub/index.ts";
import { python, pythonHas } from "../python/python.ts";
import { type FakeHub, startHub } from "./server.ts";

const COMMIT = "c".repeat(40);
const WEIGHTS = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 2654435761) >>> 24);
const FILES = { "config.json": new TextEncoder().encode("{}\n"), "model.safetensors": WEIGHTS };

describe.skipIf(!pythonHas("the cache beside Python's", "huggingface_hub"))("beside huggingface_hub", () => {
  let hub: FakeHub;
  let folders: string[];
  beforeEach(async () => {
    hub = await startHub();
    folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), "clip-ts-python-"))));
    hub.repositories.set("a/b", { commit: COMMIT, files: FILES, large: ["model.safetensors"] });
  });
  afterEach(async () => {
    await hub.close();
    for (const folder of folders) await rm(folder, { recursive: true });
  });
  const fetch = (cache: string, offline = false) =>
    fetchModel({ repository: "a/b", revision: "main" }, { endpoint: hub.url, cacheFolder: cache, token: "", offline });
  const theirs = (cache: string, more = "") =>
    python(`from huggingface_hub import snapshot_download; print(snapshot_download("a/b"${more}))`, {
      HF_ENDPOINT: hub.url,
      HF_HUB_CACHE: cache,
      HF_HUB_OFFLINE: "0",
      NO_PROXY: "127.0.0.1",
    });
  const bodies = () => hub.asked.filter(({ method, path }) => method === "GET" && !path.startsWith("/api/"));

  test("the same files, links and references", async () => {
    const [ours = "", python = ""] = folders;
    await fetch(ours);
    await theirs(python);
    const listed = async (cache: string): Promise<Record<string, string>> => {
      const place = join(cache, "models--a--b");
      const found: Record<string, string> = {};
      for (const entry of await readdir(place, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (/\/(blobs|snapshots|refs)(\/|$)/.test(path.slice(place.length)))
          found[path.slice(place.length)] = entry.isSymbolicLink()
            ? `-> ${await readlink(path)}`
            : entry.isFile()
              ? await readFile(path, "base64")
              : "folder";
      }
      return found;
    };
    expect(await listed(ours)).toEqual(await listed(python));
  });

  test("what we fetched Python uses, offline and online", async () => {
    const [cache = ""] = folders;
    const folder = await fetch(cache);
    hub.asked.length = 0;
    expect((await theirs(cache, ", local_files_only=True")).trim()).toBe(folder);
    expect(hub.asked).toEqual([]);
    expect((await theirs(cache)).trim()).toBe(folder);
    expect(bodies()).toEqual([]);
  });

  test("what Python fetched we use, offline and online", async () => {
    const [cache = ""] = folders;
    const folder = (await theirs(cache)).trim();
    hub.asked.length = 0;
    expect(await fetch(cache, true)).toBe(folder);
    expect(hub.asked).toEqual([]);
    expect(await fetch(cache)).toBe(folder);
    expect(bodies()).toEqual([]);
  });
});
