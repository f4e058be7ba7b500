/**
 * Stands for vitest where there is none: the conformance suite as a plain script. Tests are Node's own, what they expect is vitest's.
 * The bundle has it under the name `vitest`.
 */
import { after, before, describe as group, test } from "node:test";
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from "@vitest/expect";
import * as chai from "chai";

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

export const expect = chai.expect;
export const beforeAll = (run: () => unknown): void => before(async () => void (await run()));
export const afterAll = (run: () => unknown): void => after(async () => void (await run()));
export const describe = (name: string, run: () => void): void => void group(name, run);
export const it = (name: string, run: () => unknown): void => void test(name, async () => void (await run()));
