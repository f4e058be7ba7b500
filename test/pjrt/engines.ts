/** In place of the conformance suite's own list. */
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import type { EngineUnderTest } from "../engine/conformance/engines.ts";
import { pluginPath } from "./plugin.ts";

export const ENGINES: readonly EngineUnderTest[] = [
  { name: "pjrt", create: () => createPjrtEngine({ plugin: pluginPath() }) },
];
