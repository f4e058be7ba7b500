import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    // For what hangs: a machine that does ten other things is no failure.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
