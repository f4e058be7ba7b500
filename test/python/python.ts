/** Python with the official libraries, for the tests that ask them; without it those tests are skipped, and say so. */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";

const PYTHON = process.env.CLIP_TS_PYTHON ?? "python3";

/** Whether Python has these modules; where not, a line says what is skipped and how to have it. */
export function pythonHas(what: string, ...modules: string[]): boolean {
  try {
    const code = `import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in ${JSON.stringify(modules)}))`;
    execFileSync(PYTHON, ["-c", code], { stdio: "ignore" });
    return true;
  } catch {
    console.warn(`SKIPPED: ${what}. They need Python with ${modules.join(", ")}; CLIP_TS_PYTHON names its program.`);
    return false;
  }
}

/** Runs a program; what it prints. @param input what it finds on its standard input @throws with what it says on its standard error */
export async function python(code: string, env: NodeJS.ProcessEnv = {}, input = ""): Promise<string> {
  const run = promisify(execFile)(PYTHON, ["-c", code], { env: { ...process.env, ...env }, maxBuffer: 2 ** 26 });
  run.child.stdin?.end(input);
  return (await run).stdout;
}
