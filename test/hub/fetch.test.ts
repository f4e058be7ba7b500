/** A model out of a hub, with the failures that networks have. */
import type { StatsFs } from "node:fs";
import { mkdtemp, readdir, readFile, readlink, rm, statfs, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fetchModel, type HubOptions, parseHubName } from "../../src/hub/index.ts";
import { type FakeHub, gitSha1, type Repository, sha256, startHub } from "./server.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return { ...real, statfs: vi.fn(real.statfs) };
});

const NAME = "someone/clip-tiny";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const CONFIG = new TextEncoder().encode('{"model_type":"clip"}\n');
const TOKENIZER = new TextEncoder().encode('{"model":{}}\n');
/** 1 MB that no two places of are alike. */
const WEIGHTS = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 2654435761) >>> 24);
const FILES = { "config.json": CONFIG, "tokenizer.json": TOKENIZER, "model.safetensors": WEIGHTS };
const REPOSITORY: Repository = {
  commit: COMMIT,
  files: { ...FILES, "pytorch_model.bin": WEIGHTS, "README.md": CONFIG, "tf_model.h5": WEIGHTS },
  large: ["model.safetensors", "pytorch_model.bin", "tf_model.h5"],
};

let hub: FakeHub;
let cache: string;
beforeEach(async () => {
  hub = await startHub();
  cache = await mkdtemp(join(tmpdir(), "clip-ts-hub-"));
  hub.repositories.set(NAME, REPOSITORY);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await rm(cache, { recursive: true });
});

const place = (): string => join(cache, "models--someone--clip-tiny");
const blobPath = (): string => join(place(), "blobs", sha256(WEIGHTS));

function fetch(name = NAME, options: HubOptions = {}): Promise<string> {
  const parsed = parseHubName(name);
  if (!parsed) throw new Error(`${name} is no name`);
  return fetchModel(parsed, {
    endpoint: hub.url,
    cacheFolder: cache,
    pause: 5,
    timeout: 30_000,
    token: "",
    ...options,
  });
}

const failure = async (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "",
    (error) => (error instanceof Error ? error.message : String(error)),
  );

async function expectWhole(folder: string): Promise<void> {
  expect(folder).toBe(join(place(), "snapshots", COMMIT));
  expect((await readdir(folder)).sort()).toEqual(Object.keys(FILES).sort());
  for (const [name, bytes] of Object.entries(FILES))
    expect((await readFile(join(folder, name))).equals(bytes), name).toBe(true);
  expect((await readdir(join(place(), "blobs"))).filter((name) => name.includes("incomplete"))).toEqual([]);
  expect(await readdir(join(cache, ".locks", "models--someone--clip-tiny"))).toEqual([]);
}

describe("the cache is Python's", () => {
  test("blobs by checksum, snapshots of relative links, refs", async () => {
    const seen: number[] = [];
    const folder = await fetch(NAME, { onProgress: ({ received, total }) => seen.push(received / total) });
    await expectWhole(folder);
    expect(await readFile(join(place(), "refs", "main"), "utf8")).toBe(COMMIT);
    expect(await readlink(join(folder, "model.safetensors"))).toBe(join("..", "..", "blobs", sha256(WEIGHTS)));
    expect(await readlink(join(folder, "config.json"))).toBe(join("..", "..", "blobs", gitSha1(CONFIG)));
    expect(seen.at(-1)).toBe(1);
    expect(seen.every((share, i) => share >= (seen[i - 1] ?? 0))).toBe(true);
  });

  test("what is there is not fetched again", async () => {
    await fetch();
    hub.asked.length = 0;
    await expectWhole(await fetch());
    expect(hub.asked.map(({ path }) => path)).toEqual([
      `/api/models/${NAME}/revision/main`,
      `/api/models/${NAME}/tree/${COMMIT}`,
    ]);
    // A commit cannot change: nobody is asked.
    hub.asked.length = 0;
    await expectWhole(await fetch(`${NAME}@${COMMIT}`));
    expect(hub.asked).toEqual([]);
  });

  test("a branch with a slash, and a new commit of main beside the old one", async () => {
    await expectWhole(await fetch(`hf-hub:${NAME}@v1/beta`));
    expect(await readFile(join(place(), "refs", "v1", "beta"), "utf8")).toBe(COMMIT);
    const later = "f".repeat(40);
    hub.repositories.set(NAME, { ...REPOSITORY, commit: later });
    hub.asked.length = 0;
    expect(await fetch()).toBe(join(place(), "snapshots", later));
    expect(hub.asked.filter(({ path }) => path.includes("/resolve/"))).toEqual([]); // the blobs are the same
  });

  test("offline: the cache or one line", async () => {
    expect(await failure(fetch(NAME, { offline: true }))).toMatch(
      /^someone\/clip-tiny: is not in the cache .*, and offline mode forbids to fetch it$/,
    );
    await fetch();
    hub.asked.length = 0;
    await expectWhole(await fetch(NAME, { offline: true }));
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await expectWhole(await fetch());
    vi.unstubAllEnvs();
    expect(hub.asked).toEqual([]);
    // A part of a model is none.
    await rm(join(place(), "snapshots", COMMIT, "model.safetensors"));
    expect(await failure(fetch(NAME, { offline: true }))).toContain("is not in the cache");
  });

  test("a hub that is down: the cache serves, and says so", async () => {
    await fetch();
    const notes: string[] = [];
    const note = (line: string): void => void notes.push(line);
    hub.faults.set(`/api/models/${NAME}/revision/main`, [{ kind: "status", status: 503 }]);
    await expectWhole(await fetch(NAME, { onNote: note }));
    await hub.close();
    await expectWhole(await fetch(NAME, { onNote: note }));
    expect(notes[0]).toMatch(/the hub fails \(status 503\).*; using what the cache has$/);
    expect(notes[1]).toMatch(/cannot ask the hub at .*: it refuses the connection; using what the cache has$/);
    expect(await failure(fetch("someone/other", { attempts: 2 }))).toMatch(
      /^someone\/other: cannot ask the hub at http:\/\/127.0.0.1:\d+: it refuses the connection$/,
    );
    hub = await startHub();
  });

  test("a link that leads out of the cache is not used", async () => {
    const folder = await fetch();
    const elsewhere = await mkdtemp(join(tmpdir(), "clip-ts-outside-"));
    const outside = join(elsewhere, "model.safetensors");
    await writeFile(outside, WEIGHTS);
    await rm(join(folder, "model.safetensors"));
    await symlink(outside, join(folder, "model.safetensors"));
    expect(await failure(fetch(NAME, { offline: true }))).toContain("is not in the cache");
    await expectWhole(await fetch()); // mended
    await rm(elsewhere, { recursive: true });
  });
});

describe("networks fail", () => {
  test("cuts: each goes on where the last one stopped", async () => {
    hub.faults.set("model.safetensors", [
      { kind: "cut", after: 300_000 },
      { kind: "cut", after: 0 },
      { kind: "cut", after: 400_000 },
    ]);
    await expectWhole(await fetch());
    const starts = hub.asked
      .filter(({ server }) => server === "store")
      .map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? "bytes=0-")?.[1]));
    expect(starts).toHaveLength(4);
    const [first = -1, second = -1, third = -1, fourth = -1] = starts;
    expect([first, third]).toEqual([0, second]);
    // What a cut catches on its way to us, at most two pieces, is sent again.
    expect(second).toBeLessThanOrEqual(300_000);
    expect(second).toBeGreaterThan(300_000 - 2 * 65_536);
    expect(fourth).toBeLessThanOrEqual(third + 400_000);
    expect(fourth).toBeGreaterThan(third + 400_000 - 2 * 65_536);
  });

  test("given up, then gone on with in the next call", async () => {
    hub.faults.set("model.safetensors", [
      { kind: "cut", after: 250_000 },
      { kind: "cut", after: 0 },
      { kind: "cut", after: 0 },
    ]);
    expect(await failure(fetch(NAME, { attempts: 3 }))).toMatch(
      /^someone\/clip-tiny: model.safetensors: stopped at \d+ of 1000000 bytes, the connection was cut; what came is kept: try again$/,
    );
    const { length: kept } = await readFile(`${blobPath()}.clip-ts.incomplete`);
    expect(kept).toBeGreaterThan(250_000 - 2 * 65_536);
    expect(await readdir(place())).not.toContain("refs");
    hub.asked.length = 0;
    await expectWhole(await fetch());
    expect(hub.asked.find(({ server }) => server === "store")?.range).toBe(`bytes=${kept}-`);
  });

  test("stalls end by the timeout and go on", async () => {
    hub.faults.set("model.safetensors", [{ kind: "stall", after: 123_456 }]);
    await expectWhole(await fetch(NAME, { timeout: 1000 }));
    expect(hub.asked.at(-1)?.range).toBe("bytes=123456-");
    await rm(place(), { recursive: true });
    hub.faults.set(`/api/models/${NAME}/revision/main`, [{ kind: "stall", after: 0 }]);
    expect(await failure(fetch(NAME, { timeout: 300, attempts: 1 }))).toMatch(
      /cannot ask the hub at .*: it does not answer in time$/,
    );
  });

  test.each([
    ["ignores the range", "no range"],
    ["answers with another range", "wrong range"],
  ] as const)("a server that %s", async (_, kind) => {
    hub.faults.set("model.safetensors", [{ kind: "cut", after: 300_000 }, { kind }]);
    await expectWhole(await fetch());
  });

  test("wrong bytes: one line with the file's name, and nothing of them is left", async () => {
    hub.faults.set("model.safetensors", [{ kind: "wrong" }]);
    const line = await failure(fetch());
    expect(line).toMatch(
      /^someone\/clip-tiny: model.safetensors: what was received has another checksum than the sha256/,
    );
    expect(await readdir(join(place(), "blobs"))).not.toContainEqual(expect.stringContaining(sha256(WEIGHTS)));
    hub.faults.set("config.json", [{ kind: "wrong" }]);
    await rm(join(place(), "blobs", gitSha1(CONFIG)), { force: true });
    expect(await failure(fetch())).toMatch(/^someone\/clip-tiny: config.json: .*git-sha1/);
    await expectWhole(await fetch());
  });

  test("a damaged rest of an earlier run is thrown away and fetched anew", async () => {
    await fetch();
    await rm(place(), { recursive: true });
    hub.faults.set("model.safetensors", [{ kind: "cut", after: 500_000 }]);
    await failure(fetch(NAME, { attempts: 1 }));
    await writeFile(`${blobPath()}.clip-ts.incomplete`, new Uint8Array(500_000));
    await expectWhole(await fetch());
    await rm(place(), { recursive: true });
    hub.faults.set("model.safetensors", [{ kind: "cut", after: 1 }]);
    await failure(fetch(NAME, { attempts: 1 }));
    await writeFile(`${blobPath()}.clip-ts.incomplete`, new Uint8Array(2_000_000));
    await expectWhole(await fetch());
  });

  test("more bytes than listed", async () => {
    hub.faults.set("model.safetensors", [{ kind: "too long" }]);
    expect(await failure(fetch())).toBe(
      `${NAME}: model.safetensors: the server sends more than the 1000000 bytes that the hub lists`,
    );
    await expectWhole(await fetch());
  });

  test("busy servers are asked again, and those that say when are believed", async () => {
    hub.faults.set(`/api/models/${NAME}/revision/main`, [
      { kind: "status", status: 500 },
      { kind: "status", status: 502 },
    ]);
    hub.faults.set("model.safetensors", [{ kind: "status", status: 429, headers: { "retry-after": "1" } }]);
    const before = performance.now();
    await expectWhole(await fetch());
    expect(performance.now() - before).toBeGreaterThan(900);
    hub.faults.set(`/api/models/${NAME}/revision/main`, Array(9).fill({ kind: "status", status: 429 }));
    await rm(place(), { recursive: true });
    expect(await failure(fetch())).toBe(
      `${NAME}: the hub has had too many requests from here (status 429): try again later`,
    );
  });

  test("a stop keeps what came", async () => {
    hub.slowness = 20;
    const stop = new AbortController();
    const onProgress = ({ received }: { received: number }): void => {
      if (received > 400_000) stop.abort(new Error("stopped by the user"));
    };
    expect(await failure(fetch(NAME, { signal: stop.signal, onProgress }))).toBe("stopped by the user");
    const kept = (await readFile(`${blobPath()}.clip-ts.incomplete`)).length;
    expect(kept).toBeGreaterThan(300_000);
    hub.slowness = 0;
    hub.asked.length = 0;
    await expectWhole(await fetch());
    expect(hub.asked.find(({ server }) => server === "store")?.range).toBe(`bytes=${kept}-`);
  });

  test("a disk that is too small and a model that is too large are said beforehand", async () => {
    expect(await failure(fetch(NAME, { largest: 1000 }))).toMatch(
      /^someone\/clip-tiny: \d+ bytes to fetch, more than the 1000 allowed$/,
    );
    const size = 2 ** 39;
    hub.extraEntries.push({ type: "file", path: "open_clip_config.json", size: 2, oid: gitSha1(CONFIG) });
    hub.extraEntries.push({
      type: "file",
      path: "open_clip_model.safetensors",
      size,
      lfs: { oid: "a".repeat(64), size },
    });
    vi.mocked(statfs).mockResolvedValue({ bavail: 2 ** 20, bsize: 4096 } as StatsFs);
    expect(await failure(fetch(NAME, { largest: 2 ** 40 }))).toMatch(
      /open_clip_model.safetensors: needs 549756 MB, and .* has 4295 MB free/,
    );
    vi.mocked(statfs).mockReset();
  });
});

describe("who may see what", () => {
  test.each([
    ["someone/absent", "", /^someone\/absent: there is no such model at .*, or it is private: then set HF_TOKEN$/],
    ["someone/absent", "hf_x", /^someone\/absent: there is no such model at .*, or your token may not see it$/],
    [NAME, "hf_expired", /^someone\/clip-tiny: the hub refuses your token/],
    [`${NAME}@nowhere`, "", /^someone\/clip-tiny: has no branch, tag or commit nowhere: see http/],
  ])("%s with token %j", async (name, token, line) => {
    expect(await failure(fetch(name, { token }))).toMatch(line);
    expect(await readdir(cache)).toEqual([]);
  });

  test("gated models: what to do", async () => {
    hub.repositories.set(NAME, { ...REPOSITORY, gated: true, token: "hf_good" });
    expect(await failure(fetch())).toMatch(
      /is gated: accept its conditions at http.*someone\/clip-tiny, then set HF_TOKEN/,
    );
    expect(await failure(fetch(NAME, { token: "hf_other" }))).toMatch(
      /is gated, and your token has no access yet: ask for it at/,
    );
    await expectWhole(await fetch(NAME, { token: "hf_good" }));
  });

  test("the token goes to the hub, not to the store", async () => {
    hub.repositories.set(NAME, { ...REPOSITORY, token: "any-token" });
    await expectWhole(await fetch(NAME, { token: "any-token" }));
    expect(hub.asked.filter(({ server }) => server === "hub").map(({ authorization }) => authorization)).toEqual(
      Array(5).fill("Bearer any-token"),
    );
    expect(hub.asked.filter(({ server }) => server === "store").map(({ authorization }) => authorization)).toEqual([
      undefined,
    ]);
  });
});
