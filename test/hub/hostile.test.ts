/** Names, listings and redirects of people who mean no good. */
import { lookup } from "node:dns";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { isPrivateAddress } from "../../src/download/addresses.ts";
import { connect } from "../../src/download/connection.ts";
import { cacheFolder, savedToken } from "../../src/hub/cache.ts";
import { chooseFiles } from "../../src/hub/choose-files.ts";
import { fetchModel, modelPath, parseHubName } from "../../src/hub/index.ts";
import { type FakeHub, gitSha1, startHub } from "./server.ts";

vi.mock("node:dns", async (original) => {
  const real = await original<typeof import("node:dns")>();
  return { ...real, lookup: vi.fn(real.lookup) };
});

const failure = async (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "",
    (error) => (error instanceof Error ? error.message : String(error)),
  );

describe("names", () => {
  test.each([
    ["openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32", "main"],
    ["hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "main"],
    ["hf://timm/ViT-B-16-SigLIP", "timm/ViT-B-16-SigLIP", "main"],
    ["org/name@v1.0", "org/name", "v1.0"],
    ["hf-hub:org/name@refs/pr/1", "org/name", "refs/pr/1"],
    ["ViT-B/32", "openai/clip-vit-base-patch32", "main"],
    ["ViT-L/14@336px", "openai/clip-vit-large-patch14-336", "main"],
  ])("%s", (text, repository, revision) => {
    expect(parseHubName(text)).toEqual({ repository, revision });
  });

  test.each([
    ...[
      "",
      "gpt2",
      "a/b/c",
      "../etc",
      "a/..",
      "a/b..c",
      "./a",
      "/a/b",
      "a--b/c",
      "a/b@",
      "a/b@..",
      "a/b@../x",
      "a/b@x/../../y",
    ],
    ...[
      "a/b@c@d",
      "a\\b/c",
      "C:/x",
      "a/b\n",
      "a/b ",
      "runs/quickstart",
      `a/${"b".repeat(100)}`,
      "a/b@x\0y",
      "a/b@-x",
      "a/b@/x",
    ],
  ])("%j is none", (text) => {
    expect(parseHubName(text)).toBeUndefined();
  });

  test("a prefix promises a name; models that are not there say so", () => {
    expect(() => parseHubName("hf-hub:../x")).toThrow(
      '"hf-hub:../x": expected hf-hub:org/name or hf-hub:org/name@revision',
    );
    expect(() => parseHubName("RN50")).toThrow(
      "RN50: OpenAI published it only as a file, not on the hub: load that file by its path",
    );
  });

  test("whatever is a name stays in its folder", () => {
    const alphabet = fc.constantFrom(
      ...["a", "B", "0", "-", "_", ".", "..", "/", "\\", "@", ":", "\0", " ", "~", "%2e"],
    );
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 12 }), (parts) => {
        const name = parseHubName(parts.join(""));
        if (!name) return;
        expect(join("/c", `models--${name.repository.replace("/", "--")}`).split("/")).toHaveLength(3);
        expect(join("/c", "refs", ...name.revision.split("/")).startsWith("/c/refs/")).toBe(true);
      }),
    );
  });
});

test("the cache and the token are where Python's library has them", async () => {
  const home = homedir();
  expect(cacheFolder({})).toBe(join(home, ".cache", "huggingface", "hub"));
  expect(cacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/huggingface/hub");
  expect(cacheFolder({ XDG_CACHE_HOME: "/x", HF_HOME: "/h" })).toBe("/h/hub");
  expect(cacheFolder({ HF_HOME: "~/h" })).toBe(join(home, "h", "hub"));
  expect(cacheFolder({ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" })).toBe("/old");
  expect(cacheFolder({ HF_HUB_CACHE: ["$DISK/$", "{PART}"].join(""), DISK: "/d", PART: "hub" })).toBe("/d/hub");
  expect(await savedToken({ HF_TOKEN: " hf_a\n" })).toBe("hf_a");
  expect(await savedToken({ HF_HOME: "/nowhere" })).toBeUndefined();
  expect(await savedToken({ HF_TOKEN: "two words" })).toBeUndefined();
});

test("files: one format, safetensors first, shards only whole", () => {
  const both = ["config.json", "pytorch_model.bin", "open_clip_config.json", "merges.txt", "onnx/model.onnx"];
  expect(chooseFiles(both)).toEqual(["config.json", "merges.txt", "pytorch_model.bin"]);
  expect(chooseFiles([...both, "model.safetensors"])).toEqual(["config.json", "merges.txt", "model.safetensors"]);
  expect(chooseFiles([...both, "model.safetensors", "open_clip_model.safetensors"])).toEqual([
    "open_clip_config.json",
    "merges.txt",
    "open_clip_model.safetensors",
  ]);
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const index = "model.safetensors.index.json";
  expect(chooseFiles(["config.json", index, ...shards])).toEqual(["config.json", index, ...shards]);
  expect(chooseFiles(["config.json", index, shards[0] ?? ""])).toBeUndefined();
  expect(chooseFiles(["config.json", ...shards])).toBeUndefined();
  expect(chooseFiles(["config.json", "tf_model.h5"])).toBeUndefined();
  expect(chooseFiles(["model.safetensors"])).toBeUndefined();
});

test("addresses that are not on the internet", () => {
  const inside =
    "0.0.0.0 10.1.2.3 100.64.0.1 127.9.9.9 169.254.169.254 172.16.0.1 172.31.255.255 192.168.1.1 224.0.0.1 255.255.255.255";
  const inside6 =
    ":: ::1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 64:ff9b::a00:1 2002:a00:1:: fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 ff02::1 [::1]";
  for (const address of [...inside.split(" "), ...inside6.split(" "), "", "no address"])
    expect(isPrivateAddress(address), address).toBe(true);
  for (const address of "1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.128.0.1 2606:4700::1111 2a00::1 [2606:4700::1111]".split(
    " ",
  ))
    expect(isPrivateAddress(address), address).toBe(false);
});

describe("redirects", () => {
  let port = 0;
  const server = createServer((_, response) => response.end("secret"));
  beforeEach(async () => {
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    port = (server.address() as AddressInfo).port;
    vi.mocked(lookup).mockImplementation(((_: string, __: unknown, done: (e: null, found: object[]) => void) =>
      done(null, [{ address: "127.0.0.1", family: 4 }])) as never);
  });
  afterEach(async () => {
    vi.mocked(lookup).mockReset();
    await new Promise((done) => server.close(done));
  });
  const open = (endpoint: string, allowPrivateRedirects = false) =>
    connect({
      name: "the hub",
      setting: "HF_ENDPOINT",
      endpoint,
      authorization: "Bearer secret",
      timeout: 30_000,
      allowPrivateRedirects,
    });

  test.each([
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "localhost",
    "inside.example",
    "169.254.169.254",
  ])("a public hub does not lead to %s", async (host) => {
    const connection = await open("http://203.0.114.9");
    expect(await failure(connection.get(`http://${host}:${port}/`))).toMatch(
      /the hub redirects to .*, a private address: not followed/,
    );
    await connection.close();
  });

  test("unless it is allowed", async () => {
    const connection = await open("http://203.0.114.9", true);
    expect((await connection.get(`http://inside.example:${port}/`)).status).toBe(200);
    await connection.close();
  });

  test("a hub beside us may lead to a store beside us, also by name; never from https to http", async () => {
    const named = await open(`http://mirror.example:${port}`);
    expect((await named.get(`http://mirror.example:${port}/`)).status).toBe(200);
    expect((await named.get(`http://store.example:${port}/`)).status).toBe(200);
    await named.close();
    const secure = await open("https://203.0.114.9");
    expect(await failure(secure.get(`http://1.1.1.1:${port}/`))).toContain("is not https: not followed");
    await secure.close();
    expect(await failure(open("ftp://x"))).toContain("HF_ENDPOINT");
  });
});

describe("a hub", () => {
  const COMMIT = "a".repeat(40);
  const CONFIG = new TextEncoder().encode("{}");
  let hub: FakeHub;
  let place: string;
  beforeEach(async () => {
    hub = await startHub();
    place = await mkdtemp(join(tmpdir(), "clip-ts-hostile-"));
    await mkdir(join(place, "cache"));
    hub.repositories.set("a/b", { commit: COMMIT, files: { "config.json": CONFIG, "model.safetensors": CONFIG } });
  });
  afterEach(async () => {
    await hub.close();
    await rm(place, { recursive: true });
  });
  const options = () => ({
    endpoint: hub.url,
    cacheFolder: join(place, "cache"),
    token: "",
    pause: 1,
    attempts: 2,
    timeout: 30_000,
  });
  const fetch = () => fetchModel({ repository: "a/b", revision: "main" }, options());

  const names = [
    "../x",
    "a/../../x",
    "/etc/x",
    "..\\x",
    "C:\\x",
    "C:x",
    "a//b",
    "./x",
    "x/",
    "a\0b",
    "a\nb",
    "\\\\host\\share",
  ];
  test.each(names)("that lists a file %j", async (path) => {
    hub.extraEntries.push({ type: "file", path, size: 2, oid: gitSha1(CONFIG) });
    expect(await failure(fetch())).toMatch(/^a\/b: the hub lists a file with the unsafe name ".*"$/);
    expect(await readdir(join(place, "cache"))).toEqual([]);
    expect(await readdir(place)).toEqual(["cache"]);
  });

  test.each([
    ["an etag that is a path", { oid: "../../../../x" }, /without its size or checksum$/],
    ["no size", { size: undefined }, /without its size or checksum$/],
    ["a negative size", { size: -1 }, /an entry that cannot be read/],
    ["a size beyond all", { size: 1e300 }, /an entry that cannot be read/],
    ["a checksum that is none", { lfs: { oid: "../x", size: 2 } }, /an entry that cannot be read/],
  ])("that lists %s", async (_, wrong, line) => {
    hub.extraEntries.push({ type: "file", path: "tokenizer.json", size: 2, oid: gitSha1(CONFIG), ...wrong });
    expect(await failure(fetch())).toMatch(line);
    expect(await readdir(join(place, "cache"))).toEqual([]);
  });

  test("that names a commit which is a path", async () => {
    hub.repositories.set("a/b", { commit: "../../x", files: {} });
    expect(await failure(fetch())).toMatch(/the hub answers with "..\/..\/x" where a commit belongs$/);
  });

  test("that lists without end, answers without end, redirects without end, or with no JSON", async () => {
    hub.extraEntries.push(
      ...Array.from({ length: 10_001 }, (_, i) => ({ type: "file", path: `${i}`, size: 0, oid: COMMIT })),
    );
    expect(await failure(fetch())).toBe("a/b: the hub lists more than 10000 files");
    hub.extraEntries.length = 0;
    hub.extraEntries.push("x".repeat(17 * 2 ** 20));
    expect(await failure(fetch())).toContain("the hub's answer is longer than 16777216 bytes");
    const path = "/api/models/a/b/revision/main";
    hub.faults.set(path, Array(9).fill({ kind: "redirect", to: path }));
    expect(await failure(fetch())).toContain("more than 5 redirects");
    hub.faults.set(path, [{ kind: "status", status: 200 }]);
    expect(await failure(fetch())).toMatch(/^a\/b: cannot read the answer of the hub at/);
    hub.faults.set(path, [{ kind: "redirect", to: "file:///etc/passwd" }]);
    expect(await failure(fetch())).toMatch(/redirects to file:.*not followed$/);
  });

  test("what is not there: where it was looked for", async () => {
    const at = (model: string) => failure(modelPath(model, options()));
    expect(await at(place)).toBe("");
    expect(await at(join(place, "absent"))).toBe(`${join(place, "absent")}: there is no such file or folder`);
    expect(await at("absent.pt")).toMatch(
      /^absent.pt: there is no such file or folder, and it is no name of a model on the hub/,
    );
    expect(await at("someone/absent")).toMatch(
      /^someone\/absent: there is no such model at .*; nor is there a file or folder of that name$/,
    );
    expect(await at("hf-hub:someone/absent")).toMatch(/then set HF_TOKEN$/);
    expect(await at("src/absent")).toBe(
      "src/absent: there is no such file or folder (for the model on the hub: hf-hub:src/absent)",
    );
    expect(await at("runs/absent")).toMatch(/there is no such file or folder/);
    expect(hub.asked.map(({ path }) => path)).toEqual(Array(2).fill("/api/models/someone/absent/revision/main"));
    expect(await at("a/b")).toBe("");
    expect(existsSync(join(place, "cache", "models--a--b", "snapshots", COMMIT, "model.safetensors"))).toBe(true);
  });
});
