/** Gradients of a training step on XLA, however memory for them is saved: the interpreter's in float64, and the official ones. */
import { describe } from "vitest";
import { createPjrtEngine } from "../../src/engine/pjrt/pjrt-engine.ts";
import { testExactGradients } from "../train/exact-gradients.ts";
import { testWays } from "../train/ways.ts";
import { pluginPath } from "./plugin.ts";

const engine = { name: "pjrt", create: () => createPjrtEngine({ plugin: pluginPath() }) };

describe("exact gradients on XLA", () => testExactGradients(engine));
testWays([engine]);
