/** PyTorch archives that are unusual, but that torch.load reads. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { memorySource, openTensors } from "../../src/checkpoint/index.ts";
import { readPickle } from "../../src/checkpoint/pickle.ts";
import { findStateDict } from "../../src/checkpoint/state-dict.ts";
import { storageOf } from "../../src/checkpoint/torch-file.ts";
import { readJson } from "../../src/json-file.ts";
import { bundledFiles } from "../pretrained/bundle.ts";

const files = await bundledFiles();

describe("checksums", () => {
  /** The archive with other checksums in its directory, which is what readers go by. */
  function withChecksums(change: (checksum: number, entry: number) => number): Uint8Array {
    const bytes = Buffer.from(files.get("malformed/pt_ok.pt") ?? new Uint8Array());
    const entries = bytes.readUInt16LE(bytes.lastIndexOf("PK\x05\x06", undefined, "latin1") + 10);
    let at = bytes.length;
    for (let entry = 0; entry < entries; entry++) {
      at = bytes.lastIndexOf("PK\x01\x02", at - 1, "latin1");
      bytes.writeUInt32LE(change(bytes.readUInt32LE(at + 16), entry), at + 16);
    }
    return new Uint8Array(bytes);
  }

  const read = async (bytes: Uint8Array): Promise<number[]> => {
    const file = await openTensors(memorySource("x.pt", bytes));
    return Array.from((await file.read("text_projection")).data);
  };

  it("may all be left out (torch.serialization.set_crc32_options)", async () => {
    expect(await read(withChecksums(() => 0))).toEqual([0, 1, 2, 3]);
  });

  it("but not some of them", async () => {
    await expect(read(withChecksums((checksum, entry) => (entry === 0 ? checksum : 0)))).rejects.toThrow("is damaged");
  });
});

describe("what stands beside the weights", () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
  const text = (value: string): string => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
  const rebuild = `((${text("storage")}ctorch\nFloatStorage\n${text("0")}${text("cpu")}K\x01tQK\0))\x89NtR`;
  const tensor = `ctorch._utils\n_rebuild_tensor_v2\n${rebuild}`;
  const dict = (entries: Readonly<Record<string, string>>): string =>
    `}(${Object.entries(entries)
      .map(([key, value]) => text(key) + value)
      .join("")}u`;
  const found = (pickle: string) => findStateDict(readPickle(bytes(`\x80\x02${pickle}.`), storageOf).value);

  it("does not hide them: a best accuracy, a random state", () => {
    const { path, tensors } = found(
      dict({ best_acc1: tensor, state_dict: dict({ logit_scale: tensor }), rng: tensor }),
    );
    expect([path, ...tensors.keys()]).toEqual([["state_dict"], "logit_scale"]);
    expect(found(dict({ checkpoint: dict({ model: dict({ a: tensor }) }), n: tensor })).path).toEqual([
      "checkpoint",
      "model",
    ]);
  });

  it("may be words like those that weights stand under", () => {
    const { path, tensors } = found(dict({ model: text("ViT"), logit_scale: tensor, state: dict({ epoch: "K\x01" }) }));
    expect([path, ...tensors.keys()]).toEqual([[], "logit_scale"]);
  });

  it("is named where there are none", () => {
    expect(() => found(dict({ ema: dict({ a: tensor }), epoch: "K\x01" }))).toThrow('its keys are ["ema","epoch"]');
  });

  it("buffers are tensors", () => {
    const args = rebuild.slice(0, -1);
    const buffer = `ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n${args}}tR`;
    expect([...found(dict({ a: buffer })).tensors.keys()]).toEqual(["a"]);
  });
});

it.skipIf(process.platform === "win32")(
  "a pipe in a file's place is no file, and nobody waits for what comes out of it",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "clip-ts-test-"));
    try {
      const pipe = join(folder, "model.pt");
      execFileSync("mkfifo", [pipe]);
      await expect(openTensors(pipe)).rejects.toThrow(`${pipe}: is no file`);
      await expect(readJson(pipe)).rejects.toThrow(`${pipe}: is no file`);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);
