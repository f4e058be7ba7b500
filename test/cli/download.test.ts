/** clip-ts download: processes that run at the same time, are stopped or killed. */
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeHub, sha256, startHub } from "../hub/server.ts";
import { type Command, start, until } from "./command.ts";

const COMMIT = "b".repeat(40);
const WEIGHTS = Uint8Array.from({ length: 2_000_000 }, (_, i) => (i * 2654435761) >>> 24);
const FILES = { "config.json": new TextEncoder().encode("{}"), "model.safetensors": WEIGHTS };

let hub: FakeHub;
let cache: string;
beforeEach(async () => {
  hub = await startHub();
  cache = await mkdtemp(join(tmpdir(), "clip-ts-download-"));
  hub.repositories.set("a/b", { commit: COMMIT, files: FILES, large: ["model.safetensors"] });
});
afterEach(async () => {
  await hub.close();
  await rm(cache, { recursive: true });
});

function download(...args: string[]): Command {
  const env = { ...process.env, HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_TOKEN: "hf_x", NO_PROXY: "127.0.0.1" };
  return start(["download", ...args], "", undefined, env);
}
const partial = (): string => join(cache, "models--a--b", "blobs", `${sha256(WEIGHTS)}.clip-ts.incomplete`);
const hasBytes = (count: number) => async (): Promise<boolean> =>
  stat(partial()).then(
    ({ size }) => size >= count,
    () => false,
  );
const weightsAsked = () => hub.asked.filter(({ server }) => server === "store");

async function expectWhole(command: Command): Promise<void> {
  const { status, out, err } = await command.outcome;
  expect(err).toMatch(/^(\[.*\n)*\[={24}\] 2\.0\/2\.0 MB {2}[0-9.]+ MB\/s {2}model\.safetensors\n$/);
  expect(status).toBe(0);
  expect(out).toBe(`${join(cache, "models--a--b", "snapshots", COMMIT)}\n`);
  expect((await readFile(join(out.trim(), "model.safetensors"))).equals(WEIGHTS)).toBe(true);
  expect(await readdir(join(cache, ".locks", "models--a--b"))).toEqual([]);
}

test("two processes fetch a file once", async () => {
  let release = (): void => {};
  hub.held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = download("a/b");
  await until(hasBytes(1_000_000), first);
  const second = download("a/b");
  await until(async () => hub.asked.filter(({ path }) => path.includes("/tree/")).length === 2, second);
  setTimeout(release, 500);
  await expectWhole(first);
  const { status, out, err } = await second.outcome;
  expect(err).toMatch(/^clip-ts: a\/b: model\.safetensors: another process downloads it; waiting\n|^\[={24}\]/);
  expect([status, out]).toEqual([0, `${join(cache, "models--a--b", "snapshots", COMMIT)}\n`]);
  expect(weightsAsked()).toHaveLength(1);
});

test("ctrl-C says how to go on, kill -9 nothing; both are gone on with", async () => {
  hub.held = new Promise(() => {}); // each answer stops in the middle of what it has to send
  const first = download("a/b");
  await until(hasBytes(1_000_000), first);
  first.kill("SIGINT");
  expect(await first.outcome).toEqual({
    status: 130,
    out: "",
    err: "stopped; the same command goes on where it was\n",
  });
  const second = download("a/b");
  await until(hasBytes(1_500_000), second);
  second.kill("SIGKILL");
  expect((await second.outcome).status).toBe("SIGKILL");
  hub.held = undefined;
  await expectWhole(download("a/b"));
  const starts = weightsAsked().map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0]));
  expect(starts).toEqual([0, 1_000_000, 1_500_000]);
});

test("errors are one line", async () => {
  const { status, out, err } = await download("a/absent").outcome;
  expect([status, out]).toEqual([1, ""]);
  expect(err).toMatch(
    /^clip-ts: a\/absent: there is no such model at .*, or your token may not see it; nor is there a file or folder of that name\n$/,
  );
  expect((await download("a/b", "--offline").outcome).err).toMatch(
    /^clip-ts: a\/b: is not in the cache .*, and offline mode forbids to fetch it.*\n$/,
  );
});
