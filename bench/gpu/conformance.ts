/** Runs the conformance suite without a test runner. */
await import("../../test/engine/conformance/conformance.test.ts");
await import("../../test/engine/conformance/programs.test.ts");
await import("../../test/engine/conformance/state.test.ts");
await import("../../test/engine/conformance/training.test.ts");
