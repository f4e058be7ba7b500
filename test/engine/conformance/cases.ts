/** Cases for every op: an op without an entry does not compile. */
import type { OpName } from "../../../src/graph/index.ts";
import type { Case } from "./case.ts";
import { CONTRACTING } from "./contracting-cases.ts";
import { ELEMENTWISE } from "./elementwise-cases.ts";
import { NETWORK } from "./network-cases.ts";
import { REARRANGING } from "./rearranging-cases.ts";

export const CASES = { ...ELEMENTWISE, ...REARRANGING, ...CONTRACTING, ...NETWORK } satisfies Record<
  OpName,
  readonly Case[]
>;
