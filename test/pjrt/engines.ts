/** In place of the lists of engines that other tests have. */
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import type { EngineUnderTest } from "../engine/conformance/engines.ts";
import { pluginPath } from "./plugin.ts";

export { REFERENCE, running } from "../model/engines.ts";

const PJRT = { name: "pjrt", slow: false, create: () => createPjrtEngine({ plugin: pluginPath() }) };

/** Of the conformance suite. */
export const ENGINES: readonly EngineUnderTest[] = [PJRT];

/** Of the models' tests. */
export const engines = () => [PJRT];

/** Of the training tests. */
export const fastEngines = () => engines();
