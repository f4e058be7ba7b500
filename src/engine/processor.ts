/** What is known of the processor. */
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";

/** The model and, where the system tells, the instructions it has. */
export async function processor(): Promise<string> {
  return `${cpus()[0]?.model} ${await instructions()}`;
}

/**
 * Whether kernels for unsigned times signed bytes may saturate where they add two products: x86 without 8-bit dot products does. Where the
 * system does not tell, it may; weights made unsigned are safe, but take twice the time.
 */
export async function bytesMaySaturate(): Promise<boolean> {
  return process.arch === "x64" && !/\b(avx512_vnni|avx_vnni)\b/.test(await instructions());
}

/** The line of `/proc/cpuinfo` that lists them, or nothing. */
async function instructions(): Promise<string> {
  const info = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  return /^(flags|Features)\s*:.*$/m.exec(info)?.[0] ?? "";
}
