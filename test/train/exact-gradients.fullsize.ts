import { describe } from "vitest";
import { createReferenceEngine } from "../../src/engine/reference/reference-engine.ts";
import { testExactGradients } from "./exact-gradients.ts";

describe("exact gradients on the reference engine", () =>
  testExactGradients({ create: async () => createReferenceEngine() }));
