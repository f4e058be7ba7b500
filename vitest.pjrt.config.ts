import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { whyNoPlugin } from "./test/pjrt/plugin.ts";

const missing = whyNoPlugin();
if (missing) console.warn(`The PJRT suite is skipped.\n${missing}\n`);

/** The conformance suite, the fixtures' tests and official training once more, on XLA, and what is its own. */
export default defineConfig({
  resolve: { alias: [{ find: /^\.\/engines\.ts$/, replacement: resolve("test/pjrt/engines.ts") }] },
  test: {
    include: missing
      ? []
      : [
          "test/engine/conformance/*.test.ts",
          // Not pixels.test.ts, which wants the very bits of a division: XLA multiplies by the reciprocal of a constant.
          "test/model/{features,gradients,losses,variants,patch-dropout}.test.ts",
          "test/train/official.test.ts",
          "test/pjrt/*.pjrt.ts",
        ],
    passWithNoTests: true,
    fileParallelism: false,
    testTimeout: 1_200_000,
    hookTimeout: 1_200_000,
  },
});
