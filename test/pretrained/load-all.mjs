// Loads every path of the command line, a line of JSON each: what it said, how long it took, the memory so far.
import { openTensors } from "../../dist/src/checkpoint/index.js";
import { loadPretrained } from "../../dist/src/pretrained/index.js";

const [stage, ...paths] = process.argv.slice(2);
const load = async (path) => {
  if (stage === "model") return Object.keys((await loadPretrained(path)).weights);
  const file = await openTensors(path);
  try {
    for (const name of file.tensors.keys()) await file.read(name);
    return [...file.tensors.keys()];
  } finally {
    await file.close();
  }
};
for (const path of paths) {
  const begin = performance.now();
  const result = await load(path).then(
    (tensors) => ({ tensors }),
    (error) => ({ error: error instanceof Error ? error.message : `no Error: ${error}` }),
  );
  const seconds = (performance.now() - begin) / 1000;
  const megabytes = process.resourceUsage().maxRSS / 1024;
  console.log(
    JSON.stringify({ path, seconds, megabytes, polluted: Reflect.ownKeys(Object.prototype).length, ...result }),
  );
}
