// A node of the tests: joins, says so, and goes on as it is told on its standard input.
import { joinNodes } from "../../dist/src/nodes/index.js";

const options = JSON.parse(process.argv[2]);
const say = (text) => process.stdout.write(`${text}\n`);
try {
  const group = await joinNodes(options);
  group.lost.catch((error) => {
    say(`lost: ${error.message}`);
    process.exit(3);
  });
  say("joined");
  let text = "";
  for await (const chunk of process.stdin) {
    text += chunk;
    for (;;) {
      const end = text.indexOf("\n");
      if (end < 0) break;
      const [order, key, value] = text.slice(0, end).split(" ");
      text = text.slice(end + 1);
      if (order === "put") await group.put(key, Buffer.from(value));
      if (order === "get") say(`got ${Buffer.from(await group.get(key, 10_000))}`);
      if (order === "barrier") await group.barrier(key);
      if (order === "block") say("blocks");
      if (order === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(key));
      if (order === "ask") say(`got ${blocking(group, key)}`);
      say(`done ${order}`);
      if (order === "leave") {
        await group.leave();
        process.exit(0);
      }
    }
  }
} catch (error) {
  say(`failed: ${error.message}`);
  process.exit(4);
}

/** As a thread does that a native library calls: it cannot wait for a promise. */
function blocking(group, key) {
  const { port, flag } = group.blockingChannel();
  port.postMessage({ id: 1, kind: "get", key, timeoutMs: 10_000 });
  Atomics.wait(flag, 0, 0, 10_000);
  return receive(port);
}

import { receiveMessageOnPort } from "node:worker_threads";

function receive(port) {
  const { message } = receiveMessageOnPort(port);
  return Buffer.from(message.value).toString();
}
