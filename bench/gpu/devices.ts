/** The device that the suite and the steps run on, as a line of JSON. */
import { Client } from "../../src/engine/pjrt/client.ts";
import { loadPlugin } from "../../src/engine/pjrt/plugin.ts";
import { choosePlugin } from "../../src/plugins/index.ts";
import { platform } from "./engines.ts";

const { plugin: path, preload, package: of } = await choosePlugin(platform);
const plugin = await loadPlugin(path, preload);
const client = new Client(plugin, platform === "cpu" ? { cpu_device_count: 1 } : {});
const devices = client.devices.map(({ kind }) => kind);
const told = { plugin: path, package: of, api: plugin.version.join("."), platform: client.platform, devices };
process.stdout.write(`${JSON.stringify(told)}\n`);
client.close();
process.exit();
