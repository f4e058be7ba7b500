import { describe } from "vitest";
import { ENGINES } from "../engine/conformance/engines.ts";
import { testExactGradients } from "./exact-gradients.ts";

// The interpreter takes half a minute a case: `npm run test:fullsize` runs them.
for (const engine of ENGINES.filter(({ name }) => name !== "reference"))
  describe(`exact gradients on ${engine.name}`, () => testExactGradients(engine));
