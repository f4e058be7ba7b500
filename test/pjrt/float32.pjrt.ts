/** float32 means float32: what asks GPUs and TPUs not to round factors is understood, and not written where nothing rounds. */
import { expect, it } from "vitest";
import { Client } from "../../src/engine/pjrt/client.ts";
import { loadPlugin } from "../../src/engine/pjrt/plugin.ts";
import { decomposed, lower } from "../../src/engine/pjrt/stablehlo/lower.ts";
import * as g from "../../src/graph/index.ts";
import { pluginPath } from "./plugin.ts";

const graph = g.trace(
  {
    a: { dtype: "f32", shape: [2, 3, 4] },
    b: { dtype: "f32", shape: [2, 4, 5] },
    x: { dtype: "f32", shape: [1, 6, 6, 2] },
    k: { dtype: "f32", shape: [3, 2, 3, 3] },
  },
  ({ a, b, x, k }) => ({ y: g.matmul(a, b), z: g.convolution(x, k) }),
);

it.each(["cpu", "cuda"])("on %s", async (platform) => {
  const { module } = lower(decomposed(graph), { platform });
  const asked = module.split("\n").filter((line) => /HIGHEST/.test(line)).length;
  expect(asked).toBe(platform === "cpu" ? 0 : 2);
  const client = new Client(await loadPlugin(pluginPath()), { cpu_device_count: 1 });
  (await client.compile(module)).destroy();
  client.close();
});
