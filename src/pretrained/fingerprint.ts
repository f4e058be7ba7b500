/** Tells models apart without reading all of their weights. */
import { createHash } from "node:crypto";
import { fileSource } from "../checkpoint/index.ts";
import type { ClipConfig } from "../model/index.ts";

const SAMPLES = 256;
const SAMPLE = 4096;

/**
 * Of the configuration, and of each file its size and a megabyte in pieces all over it: whatever was trained further
 * differs in nearly every byte of the tensors that were trained.
 */
export async function fingerprintOf(config: ClipConfig, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(config));
  for (const file of files) {
    const bytes = await fileSource(file);
    try {
      hash.update(` ${bytes.size} `);
      const step = Math.max(SAMPLE, Math.floor((bytes.size - SAMPLE) / (SAMPLES - 1)));
      for (let at = 0; at < bytes.size; at += step)
        hash.update(await bytes.read(at, Math.min(SAMPLE, bytes.size - at)));
    } finally {
      await bytes.close();
    }
  }
  return hash.digest("hex").slice(0, 16);
}
