/** Any damage to a checkpoint ends in a load or in one clean line: no hang, no crash, no error of ours in disguise. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memorySource, openTensors } from "../../src/checkpoint/index.ts";
import { bundledFiles } from "../pretrained/bundle.ts";

const files = await bundledFiles();
const NAME = "fuzzed file";

/** What JavaScript says where something was not thought of. */
const INTERNAL =
  /undefined|is not a|cannot read|not iterable|call stack|out of (bounds|range|memory)|invalid (array|typed)|offset is/i;

async function read(bytes: Uint8Array): Promise<string | undefined> {
  try {
    const file = await openTensors(memorySource(NAME, bytes));
    for (const tensor of file.tensors.keys()) await file.read(tensor);
    await file.close();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`no Error was thrown: ${error}`);
    return error.message;
  }
}

async function expectClean(bytes: Uint8Array): Promise<void> {
  const begin = process.cpuUsage();
  const message = await read(bytes);
  expect(process.cpuUsage(begin).user).toBeLessThan(10e6); // microseconds, whatever else the machine does
  if (message === undefined) return;
  expect(message.startsWith(`${NAME}: `)).toBe(true);
  expect(message).not.toContain("\n");
  expect(message.length).toBeLessThan(600);
  expect(message).not.toMatch(INTERNAL);
}

const SMALL: readonly [file: string, runs: number][] = [
  ["malformed/pt_ok.pt", 1500],
  ["malformed/pt_nested_state_dict.pt", 500],
  ["malformed/pt_legacy.pt", 1000],
  ["malformed/st_ok.safetensors", 500],
  ["micro/state_dict_views.pt", 60],
  ["micro/open_clip_training_checkpoint.pt", 60],
  ["micro/state_dict_legacy_format.pt", 60],
];

describe.each(SMALL)("%s", (path, numRuns) => {
  const whole = files.get(path) ?? new Uint8Array();

  it("loads as it is", async () => expect(await read(whole)).toBeUndefined());

  it("with bytes changed", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        async (changes) => {
          const bytes = new Uint8Array(whole);
          for (const [at, value] of changes) bytes[at] = value;
          await expectClean(bytes);
        },
      ),
      { numRuns },
    ));

  it("cut off, or with a piece missing", () =>
    fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.nat(64), async (at, missing) => {
        await expectClean(new Uint8Array(whole.subarray(0, at)));
        await expectClean(new Uint8Array(Buffer.concat([whole.subarray(0, at), whole.subarray(at + missing)])));
      }),
      { numRuns: Math.ceil(numRuns / 5) },
    ));
});

it("random bytes behind what formats begin with", () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom("PK\x03\x04", "PK\x05\x06", "\x80\x02", "\x80\x05\x95", "", "\x10\0\0\0\0\0\0\0{"),
      fc.uint8Array({ maxLength: 300 }),
      (beginning, rest) => expectClean(new Uint8Array(Buffer.concat([Buffer.from(beginning, "latin1"), rest]))),
    ),
    { numRuns: 1000 },
  ));
