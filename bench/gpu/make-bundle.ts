/**
 * Makes the bundle of bench/gpu.sh: one archive for a machine that has JAX's CUDA plugin and nothing else. It holds Node, the built files
 * that the benchmark loads, the packages that those load, and the peers' script.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { importsOf } from "../../test/project/imports.ts";

const LARGEST = 64 * 2 ** 20;
const { values } = parseArgs({
  options: {
    out: { type: "string", default: "gpu-bench.tar.gz" },
    /** The binary for the other machine, of the same kind as this one. */
    node: { type: "string", default: process.execPath },
    "no-node": { type: "boolean", default: false },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  process.stdout.write(
    "make-bundle.js [--out gpu-bench.tar.gz] [--node PATH | --no-node]: the bundle of bench/gpu.sh\n",
  );
  process.exit();
}

/** This file is dist/bench/gpu/make-bundle.js. */
const dist = fileURLToPath(new URL("../..", import.meta.url));
const root = dirname(dist.replace(/\/$/, ""));
const ENTRIES = ["conformance.js", "devices.js", "report.js", "step.js", "vitest.js", "engines.js"];
/** In place of files of the suite, and of the test runner. */
const ENGINES = "test/engine/conformance/engines.js";

const folder = `${values.out}.tmp`;
rmSync(folder, { recursive: true, force: true });
const packages = new Set<string>();
const seen = new Set<string>();
const queue = ENTRIES.map((name) => `bench/gpu/${name}`);
for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
  if (seen.has(file)) continue;
  seen.add(file);
  const text =
    file === ENGINES ? 'export * from "../../../bench/gpu/engines.js";\n' : readFileSync(join(dist, file), "utf8");
  put(join("dist", file), text);
  for (const { to, relative: own, kind } of importsOf(file, text))
    if (own) queue.push(to);
    else if (kind === "value" && !to.startsWith("node:")) packages.add(packageOf(to));
}
packages.delete("vitest");
// What is loaded by name when it is needed.
packages.add("koffi");
for (const name of packages) {
  if (folderOf(name, root) === undefined) throw new Error(`${name} is not installed: npm ci`);
  take(name, root);
}
put("node_modules/vitest/package.json", JSON.stringify({ name: "vitest", type: "module", exports: "./index.js" }));
put("node_modules/vitest/index.js", 'export * from "../../dist/bench/gpu/vitest.js";\n');
put("package.json", JSON.stringify({ name: "clip-ts", version: versionOf(root), type: "module" }));
const peers = ["gpu_peer.py", "jax_model.py", "clip_model.py"].map((name) => `bench/python/${name}`);
for (const file of ["bench/gpu.sh", ...peers, "LICENSE", "NOTICE"]) cpSync(join(root, file), join(folder, file));

if (!values["no-node"]) {
  const binary = join(folder, "node");
  cpSync(realpathSync(values.node), binary);
  try {
    execFileSync("strip", [binary], { stdio: "ignore" });
  } catch {
    process.stderr.write("make-bundle: there is no strip here; the binary stays as it is\n");
  }
  execFileSync("xz", ["-6", "-T0", binary]);
}
execFileSync("tar", ["-czf", values.out, "-C", folder, "."]);
rmSync(folder, { recursive: true });
const { size } = statSync(values.out);
process.stdout.write(
  `${values.out}: ${(size / 2 ** 20).toFixed(1)} MiB, ${seen.size} files, ${packages.size} packages\n`,
);
if (size > LARGEST) throw new Error(`${values.out}: ${size} bytes, more than ${LARGEST}`);

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function packageOf(specifier: string): string {
  const [first = "", second = ""] = specifier.split("/");
  return first.startsWith("@") ? `${first}/${second}` : first;
}

/** A package with what it needs, and of its optional parts those that are installed here. */
function take(name: string, from: string): void {
  const place = folderOf(name, from);
  if (place === undefined) return;
  const target = join(folder, relative(root, place));
  if (existsSync(target)) return;
  const nested = join(place, "node_modules");
  cpSync(place, target, {
    recursive: true,
    filter: (path) => !path.startsWith(nested) && !/\.(d\.[mc]?ts|map|md)$/.test(path),
  });
  const { dependencies = {}, optionalDependencies = {} } = manifestOf(place);
  for (const needed of Object.keys({ ...dependencies, ...optionalDependencies }))
    if (!needed.startsWith("@types/")) take(needed, place);
}

function folderOf(name: string, from: string): string | undefined {
  const paths = createRequire(join(from, "package.json")).resolve.paths(name) ?? [];
  return paths.map((path) => join(path, name)).find((path) => existsSync(join(path, "package.json")));
}

interface Manifest {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function manifestOf(place: string): Manifest {
  const manifest: Manifest = JSON.parse(readFileSync(join(place, "package.json"), "utf8"));
  return manifest;
}

function versionOf(place: string): string {
  return manifestOf(place).version ?? "";
}
