/** Wheels out of an index and out of folders: fetched once, verified, unpacked whole; hostile ones leave nothing. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type InstallOptions, installPlugin } from "../../src/plugins/install.ts";
import { installedPlugins, removePlugin } from "../../src/plugins/installed.ts";
import { pipSettings } from "../../src/plugins/pip-settings.ts";
import { unpackWheel } from "../../src/plugins/unpack.ts";
import { PLUGIN_NAMES, pluginRelease } from "../../src/plugins/wheels.ts";
import { sha256 } from "../hub/server.ts";
import { type FakeIndex, startIndex } from "./index-server.ts";
import { GOOD, type Part, PLUGIN, releaseOf, wheelOf, zip } from "./wheel.ts";

const good = zip(GOOD);
const wheel = wheelOf(good);
const release = releaseOf(wheel);

let folder: string;
let index: FakeIndex;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clip-ts-plugins-"));
  index = await startIndex(sha256);
  index.files.set(wheel.file, good);
  vi.stubEnv("PIP_CONFIG_FILE", "/dev/null");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await index.close();
  await rm(folder, { recursive: true, force: true });
});

const install = (options: InstallOptions = {}) =>
  installPlugin("cpu", { folder, index: index.url, release, pause: 1, ...options });
const failure = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "",
    (error) => (error instanceof Error ? error.message : String(error)),
  );
const visible = async (): Promise<string[]> => (await readdir(folder)).filter((name) => !name.startsWith("."));

describe("from an index", () => {
  test("a plugin is unpacked without Python and headers, told, found again, replaced, removed", async () => {
    const seen: number[] = [];
    const plugin = await install({ onProgress: (done) => seen.push(done) });
    expect(plugin).toMatchObject({ name: "cpu", version: "1.0", folder: join(folder, "cpu") });
    expect(await readFile(join(plugin.folder, PLUGIN))).toEqual(GOOD[0]?.data && Buffer.from(GOOD[0].data));
    expect((await stat(join(plugin.folder, PLUGIN))).mode & 0o777).toBe(0o755);
    expect((await readdir(plugin.folder, { recursive: true })).sort()).toEqual(
      [
        "fake_pjrt",
        "fake_pjrt-1.0.dist-info",
        "fake_pjrt-1.0.dist-info/licenses",
        "fake_pjrt-1.0.dist-info/licenses/LICENSE",
        PLUGIN,
        "plugin.json",
      ].sort(),
    );
    expect(seen).toContain(good.length);
    const asked = index.asked.length;
    expect(await install()).toEqual(plugin);
    expect(index.asked.length).toBe(asked);

    const newer = zip([{ name: PLUGIN, data: "newer" }]);
    const next = { ...wheelOf(newer), version: "2.0", file: "fake_pjrt-2.0-py3-none-any.whl" };
    index.files.set(next.file, newer);
    await install({ release: { ...releaseOf(next), version: "2.0" } });
    expect((await installedPlugins(folder)).map(({ version }) => version)).toEqual(["2.0"]);
    expect(await readFile(join(folder, "cpu", PLUGIN), "utf8")).toBe("newer");
    expect(await removePlugin("cpu", folder)).toBe(true);
    expect(await removePlugin("cpu", folder)).toBe(false);
    expect(await visible()).toEqual([]);
  });

  test("a page of links does too, with addresses relative to it", async () => {
    index.html = true;
    index.link = (file) => `../../files/${file}?x=1&amp;y=2`;
    // The index itself has the file then.
    expect(await failure(install())).toMatch(
      /^fake-pjrt: the package index at .* does not have the file that it lists$/,
    );
    expect(index.asked.at(-1)).toBe(`index /files/${wheel.file}?x=1&y=2`);
  });

  test("a connection that is cut goes on where it was, also in the next run", async () => {
    index.cuts.push(1000, 5000);
    await install();
    const ranges = index.asked.filter((line) => line.startsWith("store")).map((line) => line.split(" ")[2]);
    expect(ranges).toEqual([undefined, "bytes=1000-", "bytes=6000-"]);
    await removePlugin("cpu", folder);
    index.asked.splice(0);
    index.cuts.push(2000, 0, 0);
    expect(await failure(install({ attempts: 2 }))).toMatch(
      /stopped at 2000 of \d+ bytes, .* what came is kept: try again$/,
    );
    expect(await visible()).toEqual([]);
    index.cuts.splice(0);
    await install();
    expect(index.asked.at(-1)).toContain("bytes=2000-");
  });

  test("other content under the name is refused: by the index's word, by its bytes, by its length", async () => {
    index.hash = "0".repeat(64);
    expect(await failure(install())).toMatch(
      /has a file of that name with the SHA-256 0{64}, expected [0-9a-f]{64}: not fetched$/,
    );
    expect(index.asked.some((line) => line.startsWith("store"))).toBe(false);
    index.hash = wheel.sha256;
    index.files.set(wheel.file, Buffer.concat([good.subarray(0, -1), Buffer.of(1)]));
    expect(await failure(install())).toMatch(
      /another checksum than the sha256 [0-9a-f]{64} that the package index lists/,
    );
    index.files.set(wheel.file, Buffer.concat([good, Buffer.of(1)]));
    expect(await failure(install())).toMatch(/the server sends more than the \d+ bytes that the package index lists$/);
    index.files.set(wheel.file, good.subarray(0, 100));
    expect(await failure(install({ attempts: 1 }))).toMatch(/stopped at \d+ of \d+ bytes/);
    expect(await visible()).toEqual([]);
    index.files.set(wheel.file, good);
    expect((await install()).version).toBe("1.0");
  });

  test("a busy index is asked again; one that refuses, lacks the file or does not exist says so", async () => {
    index.statuses.push(503, 429);
    await install();
    await removePlugin("cpu", folder);
    index.secret = "me:p@ss";
    expect(await failure(install())).toMatch(/refuses it; a user and password belong into its address/);
    const url = index.url.replace("http://", "http://me:p%40ss@");
    await install({ index: url });
    expect(index.asked.filter((line) => line.startsWith("store") && /Basic/.test(line))).toEqual([]);
    await removePlugin("cpu", folder);
    index.files.clear();
    expect(await failure(install({ index: url }))).toMatch(
      /fake_pjrt-1.0-py3-none-any.whl: is not at http:\/\/127.0.0.1:\d+\/simple \(/,
    );
    expect(await failure(install({ index: "ftp://example.org" }))).toMatch(
      /^the package index's address "ftp:\/\/example.org/,
    );
    expect(await failure(install({ index: "http://127.0.0.1:1/simple", attempts: 1 }))).toMatch(
      /it refuses the connection/,
    );
  });

  test("a stop leaves nothing visible, and two installers one plugin", async () => {
    const stop = new AbortController();
    index.cuts.push(1000);
    const stopped = install({ signal: stop.signal, onProgress: () => stop.abort(new Error("stopped")) });
    expect(await failure(stopped)).toMatch(/stopped|aborted/i);
    expect(await visible()).toEqual([]);
    const both = await Promise.all([install(), install()]);
    expect(both[0]).toEqual(both[1]);
    expect(index.asked.filter((line) => line.startsWith("store") && !/bytes=/.test(line)).length).toBeLessThanOrEqual(
      2,
    );
  });
});

describe("from a folder", () => {
  test("wheels are taken as they are, others refused, missing ones named", async () => {
    const from = join(folder, "wheels");
    await mkdir(from);
    const second = zip([{ name: "other/lib/libother.so", data: "x" }]);
    const two = releaseOf(wheel, wheelOf(second, "other"));
    await writeFile(join(from, wheel.file), good);
    expect(await failure(install({ from, release: two }))).toMatch(
      /lacks other-1.0-py3-none-any.whl; where there is a network: pip download --no-deps fake-pjrt==1.0 other==1.0$/,
    );
    await writeFile(join(from, "other-1.0-py3-none-any.whl"), second);
    await install({ from, release: two, index: "http://127.0.0.1:1" });
    expect(await readFile(join(folder, "cpu", "other/lib/libother.so"), "utf8")).toBe("x");
    expect(existsSync(join(from, wheel.file))).toBe(true);
    await removePlugin("cpu", folder);

    await install({ from: join(from, wheel.file) });
    await writeFile(join(from, wheel.file), good.subarray(0, -1));
    await removePlugin("cpu", folder);
    expect(await failure(install({ from: join(from, wheel.file) }))).toMatch(/is another file than the pinned one/);
    expect(await failure(install({ from: join(from, "other-1.0-py3-none-any.whl") }))).toMatch(
      /is no wheel of cpu, expected fake_pjrt/,
    );
    expect(await failure(install({ from: join(from, "absent") }))).toMatch(/there is no such folder or wheel$/);
  });

  test("pip's find-links serves, and its no-index is obeyed", async () => {
    const links = join(folder, "links");
    await mkdir(links);
    await writeFile(join(links, wheel.file), good);
    vi.stubEnv("PIP_NO_INDEX", "1");
    vi.stubEnv("PIP_FIND_LINKS", `${join(folder, "absent")} ${links}`);
    await installPlugin("cpu", { folder, release });
    await removePlugin("cpu", folder);
    await rm(links, { recursive: true });
    expect(await failure(installPlugin("cpu", { folder, release }))).toMatch(
      /pip's setting no-index forbids to ask an index/,
    );
    expect(index.asked).toEqual([]);
  });
});

describe("hostile wheels, pinned by mistake", () => {
  const unpack = async (parts: readonly Part[] | Uint8Array, largest = 1e6): Promise<string> => {
    const path = join(folder, "x.whl");
    await writeFile(path, parts instanceof Uint8Array ? parts : zip(parts));
    return failure(unpackWheel(path, join(folder, "out", "below"), { largest, placeSetting: "PLACE" }));
  };
  test.each([
    ["../../escaped", /unsafe name|invalid relative path/],
    ["/escaped", /unsafe name|absolute path/],
    ["a/../../escaped", /unsafe name|invalid relative path/],
    ["a\\..\\escaped", /unsafe name|invalid characters/],
    ["C:/escaped", /unsafe name|absolute path/],
    ["a/./b", /unsafe name/],
    ["a//b", /unsafe name/],
    ["a\0b", /unsafe name/],
  ])("the name %j is refused before anything is written", async (name, message) => {
    expect(
      await unpack([
        { name: "first.so", data: "x" },
        { name, data: "x" },
      ]),
    ).toMatch(message);
    expect(existsSync(join(folder, "out"))).toBe(false);
  });

  test("links, doubles, bombs, lies and damage are refused", async () => {
    const zeros = new Uint8Array(3_000_000);
    expect(await unpack([{ name: "a.so", data: "/etc/passwd", mode: 0o120777 }])).toMatch(/"a.so" is a link$/);
    expect(await unpack([{ name: "a.so" }, { name: "A.so" }])).toMatch(/"A.so" is twice in the archive$/);
    expect(await unpack([{ name: "a.so", data: "x", flags: 1 }])).toMatch(/encrypted/);
    expect(
      await unpack(Array.from({ length: 50 }, (_, i) => ({ name: `${i}.so`, data: zeros.subarray(0, 30_000) }))),
    ).toMatch(/unpacks to more than the 1000000 bytes allowed$/);
    expect(existsSync(join(folder, "out"))).toBe(false);
    // Says less than it unpacks to: the reader stops there.
    expect(await unpack([{ name: "a.so", data: zeros.subarray(0, 900_000), size: 10 }])).toMatch(
      /"a.so": too many bytes/,
    );
    expect(await unpack([{ name: "b.so", data: "x", size: 10 }])).toMatch(/"b.so": not enough bytes/);
    expect(await unpack([{ name: "c.so", data: "x", crc: 7 }])).toMatch(/"c.so": damaged: its checksum is wrong$/);
    expect(await unpack([{ name: "d.so", data: "x" }])).toBe("");
    expect(await unpack([{ name: "d.so", data: "y" }])).toMatch(/EEXIST/);
    expect(await unpack(new Uint8Array(100))).toMatch(/is no whole zip archive/);
    expect(await unpack(good.subarray(0, good.length - 30))).toMatch(/x.whl: /);
  });

  test("one that is installed fails whole and leaves what was there", async () => {
    await install();
    const bad = zip([
      { name: PLUGIN, data: "x" },
      { name: "z.so", data: "x", crc: 7 },
    ]);
    const next = wheelOf(bad);
    index.files.set(wheel.file, bad);
    expect(await failure(install({ release: releaseOf(next) }))).toMatch(/"z.so": damaged/);
    expect((await installedPlugins(folder))[0]?.wheels[0]?.sha256).toBe(wheel.sha256);
    expect((await readdir(folder)).filter((name) => name.startsWith(".cpu."))).toEqual([]);
  });

  test("any change of a byte is noticed or harmless", async () => {
    const small = zip([{ name: "a/b.so", data: "what the library has" }]);
    const out = join(folder, "out", "below", "a", "b.so");
    await fc.assert(
      fc.asyncProperty(fc.nat(small.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(small);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const message = await unpack(bytes);
        if (message !== "") expect(message).toMatch(/x\.whl: /);
        else if (existsSync(out)) expect(await readFile(out, "utf8")).toBe("what the library has");
        await rm(join(folder, "out"), { recursive: true, force: true });
      }),
      { numRuns: 40 },
    );
  });
});

test("pip's settings: variables before files, install before global, lists over several lines", async () => {
  const file = join(folder, "pip.conf");
  await writeFile(
    file,
    "# ours\n[global]\nindex-url = https://mirror.example/simple\nextra_index_url =\n    https://a.example/simple\n    https://b.example/simple\nfind-links = file:///wheels%20here\n  https://links.example\n  /more\ncert: /c.pem\n[install]\nindex-url=https://install.example/simple\n",
  );
  const environment = { PIP_CONFIG_FILE: file, XDG_CONFIG_DIRS: folder, XDG_CONFIG_HOME: folder };
  const settings = await pipSettings(undefined, environment);
  expect(settings).toMatchObject({
    indexes: ["https://install.example/simple", "https://a.example/simple", "https://b.example/simple"],
    folders: ["/wheels here", "/more"],
    certificates: "/c.pem",
  });
  expect((await pipSettings(undefined, { ...environment, PIP_INDEX_URL: "https://v.example" })).indexes[0]).toBe(
    "https://v.example",
  );
  expect((await pipSettings("https://own.example", environment)).indexes).toEqual(["https://own.example"]);
  expect((await pipSettings(undefined, { PIP_CONFIG_FILE: "/dev/null", PIP_NO_INDEX: "yes" })).indexes).toEqual([]);
});

test("the table pins every wheel, with a licence", () => {
  for (const name of PLUGIN_NAMES)
    for (const platform of ["linux-x64", "linux-arm64"]) {
      const found = pluginRelease(name, platform);
      if (name === "cpu" && platform === "linux-arm64") expect(found).toBeUndefined();
      else expect(found?.wheels.length).toBeGreaterThan(0);
      for (const { file, size, sha256: digest, licence, package: from } of found?.wheels ?? []) {
        expect(file).toMatch(platform === "linux-x64" ? /x86_64\.whl$/ : /aarch64\.whl$/);
        expect(file.startsWith(`${from.replaceAll("-", "_")}-`)).toBe(true);
        expect(digest).toMatch(/^[0-9a-f]{64}$/);
        expect(size).toBeGreaterThan(1e6);
        expect(licence).not.toBe("");
      }
    }
  expect(pluginRelease("cpu", "win32-x64")).toBeUndefined();
});
