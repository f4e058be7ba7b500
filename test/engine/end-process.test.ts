import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const BUILT = new URL("../../dist/src/engine/pjrt/end-process.js", import.meta.url);
if (!existsSync(fileURLToPath(BUILT))) throw new Error("tested as built: run tsc -p tsconfig.build.json first");

it("ends a process while one of libuv's threads is in a call that does not return", () => {
  const script = `
    import koffi from "koffi";
    import { endAtOnce } from "${BUILT}";
    const libc = koffi.load(process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6");
    libc.func("int pause()").async(() => {});
    setTimeout(() => { process.stderr.write("the last line\\n"); endAtOnce(7); }, 100);
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    encoding: "utf8",
    timeout: 120_000,
  });
  expect([status, stderr]).toEqual([7, "the last line\n"]);
});
