/** Every engine computes every op as the reference engine does in double precision. */
import { afterAll, beforeAll, describe, it } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { type Case, check } from "./case.ts";
import { CASES } from "./cases.ts";
import { ENGINES } from "./engines.ts";

for (const { name, create } of ENGINES)
  describe(name, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(() => engine.close());
    for (const [op, cases] of Object.entries<readonly Case[]>(CASES))
      describe(op, () => {
        for (const one of cases) it(one.name, () => check(engine, one));
      });
  });
