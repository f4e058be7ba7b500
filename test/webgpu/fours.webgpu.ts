import { afterAll, beforeAll, describe, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { check } from "../engine/conformance/case.ts";
import { ENGINES } from "./engines.ts";
import { FOURS } from "./fours-cases.ts";

for (const { name, create } of ENGINES)
  describe(name, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(() => engine.close());
    for (const one of FOURS) it(one.name, () => check(engine, one));
  });
