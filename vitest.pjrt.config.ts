import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { whyNoPlugin } from "./test/pjrt/plugin.ts";

const missing = whyNoPlugin();
if (missing) console.warn(`The PJRT suite is skipped.\n${missing}\n`);

/** The conformance suite once more, on XLA, and what is its own. */
export default defineConfig({
  resolve: { alias: [{ find: /^\.\/engines\.ts$/, replacement: resolve("test/pjrt/engines.ts") }] },
  test: {
    include: missing ? [] : ["test/engine/conformance/*.test.ts", "test/pjrt/*.pjrt.ts"],
    passWithNoTests: true,
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
