import { defineConfig } from "vitest/config";

/** Published architectures at full size, one at a time, and what takes the interpreter minutes: up to 10 GB of memory. `-t RN50x4` runs one of them. */
export default defineConfig({
  test: {
    include: ["test/model/*.fullsize.ts", "test/model/fullsize.test.ts", "test/train/*.fullsize.ts"],
    env: { CLIP_TS_LARGE: "1" },
    fileParallelism: false,
    testTimeout: 1_200_000,
    hookTimeout: 1_200_000,
  },
});
