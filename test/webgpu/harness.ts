/** As much of vitest as the suite uses, for a machine that has only Node and onnxruntime. */
import { deepStrictEqual } from "node:assert";

type Body = () => unknown;
interface Test {
  readonly name: string;
  readonly body: Body;
  readonly suite: Suite;
}
interface Suite {
  readonly name: string;
  readonly parent: Suite | undefined;
  readonly before: Body[];
  readonly after: Body[];
  readonly entries: (Test | Suite)[];
}

const suite = (name: string, parent?: Suite): Suite => ({ name, parent, before: [], after: [], entries: [] });
const root = suite("");
let current = root;

export function describe(name: string, body: Body): void {
  const inner = suite(name, current);
  current.entries.push(inner);
  current = inner;
  body();
  current = inner.parent ?? root;
}
export const it = (name: string, body: Body): void => {
  current.entries.push({ name, body, suite: current });
};
export const beforeAll = (body: Body): void => {
  current.before.push(body);
};
export const afterAll = (body: Body): void => {
  current.after.push(body);
};

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const fits = (message: string, expected: string | RegExp): boolean =>
  typeof expected === "string" ? message.includes(expected) : expected.test(message);

function demand(holds: boolean, negated: boolean, what: string): void {
  if (holds === negated) throw new Error(`expected ${negated ? "not " : ""}${what}`);
}

function equal(found: unknown, expected: unknown): boolean {
  try {
    deepStrictEqual(found, expected);
    return true;
  } catch {
    return false;
  }
}

function matchers(found: unknown, what: string, negated: boolean) {
  const number = Number(found);
  const check = (holds: boolean, claim: string): void =>
    demand(holds, negated, `${what} ${claim}, got ${String(found)}`);
  return {
    toBe: (expected: unknown) => check(Object.is(found, expected), `to be ${String(expected)}`),
    toEqual: (expected: unknown) => check(equal(found, expected), `to equal ${JSON.stringify(expected)}`),
    toBeLessThan: (limit: number) => check(number < limit, `below ${limit}`),
    toBeGreaterThanOrEqual: (limit: number) => check(number >= limit, `at least ${limit}`),
    toBeCloseTo: (expected: number, digits = 2) =>
      check(Math.abs(number - expected) < 10 ** -digits / 2, `close to ${expected}`),
  };
}

export function expect(found: unknown, what = "a value") {
  return {
    ...matchers(found, what, false),
    not: matchers(found, what, true),
    rejects: {
      toThrow: async (expected: string | RegExp) => {
        let message: string | undefined;
        try {
          await found;
        } catch (error) {
          message = said(error);
        }
        demand(message !== undefined && fits(message, expected), false, `an error like ${expected}, got ${message}`);
      },
    },
  };
}

const fullName = ({ name, parent }: Suite): string => (parent ? `${fullName(parent)} > ${name}` : name);

/** Runs what was described, one after the other, and says what failed. */
export async function runAll(skip: RegExp): Promise<{ passed: number; failed: number; skipped: number }> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const attempt = async (name: string, bodies: readonly Body[]): Promise<boolean> => {
    try {
      for (const body of bodies) await body();
      return true;
    } catch (error) {
      counts.failed++;
      console.log(`FAIL ${name}\n  ${said(error).slice(0, 500)}`);
      return false;
    }
  };
  const visit = async (entry: Test | Suite): Promise<void> => {
    if ("body" in entry) {
      const name = `${fullName(entry.suite)} > ${entry.name}`;
      if (skip.test(name)) counts.skipped++;
      else if (await attempt(name, [entry.body])) counts.passed++;
      return;
    }
    if (await attempt(`${fullName(entry)} (before)`, entry.before))
      for (const inner of entry.entries) await visit(inner);
    await attempt(`${fullName(entry)} (after)`, entry.after);
  };
  await visit(root);
  return counts;
}
