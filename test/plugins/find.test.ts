/** Plugins in folders laid out as Python's: which are found, in which order, with what they need. */
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { choosePlugin, findPlugins } from "../../src/plugins/find.ts";
import { MANIFEST } from "../../src/plugins/installed.ts";

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "clip-ts-find-")));
  vi.stubEnv("HOME", join(root, "home")); // packages may be there
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

async function put(...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), "");
  }
}

const SITE = "lib/python3.12/site-packages";
const CUDA = `${SITE}/jax_plugins/xla_cuda12/xla_cuda_plugin.so`;
const CPU = `${SITE}/lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so`;
const none = { PATH: "" };
const find = (environment: Readonly<Record<string, string>>, folder = join(root, "none")) =>
  findPlugins({ environment: { ...none, ...environment }, folder });
/** Without those of /usr/local, where the machine's own Python may have some. */
const paths = async (environment: Readonly<Record<string, string>>): Promise<string[]> =>
  (await find(environment)).map(({ plugin }) => relative(root, plugin)).filter((path) => !path.startsWith(".."));

test("an environment's plugins: GPUs first, what is none is left alone", async () => {
  await put(CPU, CUDA, `${SITE}/libtpu/libtpu.so`, `${SITE}/jax_plugins/xla_cuda12/__init__.py`);
  await put(
    `${SITE}/jaxlib/_jax.so`,
    `${SITE}/numpy/libpjrt.so`,
    `${SITE}/lammps_jax_pjrt_cpu-0.11.2.dist-info/METADATA`,
  );
  await put(`${SITE}/jax_cuda12_pjrt-0.10.0.dist-info/METADATA`);
  const found = await find({ VIRTUAL_ENV: root });
  expect(found.map(({ platform, from, package: of, plugin }) => [platform, from, of, relative(root, plugin)])).toEqual([
    ["cuda", "python", "jax-cuda12-pjrt 0.10.0", CUDA],
    ["tpu", "python", undefined, `${SITE}/libtpu/libtpu.so`],
    ["cpu", "python", "lammps-jax-pjrt-cpu 0.11.2", CPU],
  ]);
  expect(await paths({ CONDA_PREFIX: root, VIRTUAL_ENV: root })).toHaveLength(3);
  expect(await paths({})).toEqual([]);
});

test("NVIDIA's libraries are opened first, by their paths, in an order that fits; ptxas is told", async () => {
  const nvidia = `${SITE}/nvidia`;
  const libraries = [
    "cudnn/lib/libcudnn.so.9",
    "cublas/lib/libcublas.so.12",
    "cublas/lib/libcublasLt.so.12",
    "cuda_runtime/lib/libcudart.so.12",
  ];
  await put(CUDA, ...libraries.map((library) => `${nvidia}/${library}`), `${nvidia}/cuda_nvcc/bin/ptxas`);
  const [plugin] = await find({ VIRTUAL_ENV: root });
  expect(plugin?.preload.map((path) => relative(join(root, nvidia), path))).toEqual([
    "cuda_runtime/lib/libcudart.so.12",
    "cublas/lib/libcublasLt.so.12",
    "cublas/lib/libcublas.so.12",
    "cudnn/lib/libcudnn.so.9",
  ]);
  expect(plugin?.flags).toEqual({ xla_gpu_cuda_data_dir: join(root, nvidia, "cuda_nvcc") });
  await put(`thirteen/${CUDA.replaceAll("cuda12", "cuda13")}`);
  await put(`thirteen/${SITE}/nvidia/cu13/lib/libcudart.so.13`, `thirteen/${SITE}/nvidia/cu13/bin/ptxas`);
  const thirteen = join(root, "thirteen", SITE, "nvidia", "cu13");
  const [newer] = await findPlugins({ environment: none, folder: root, sitePackages: [join(root, "thirteen", SITE)] });
  expect(newer?.preload).toEqual([join(thirteen, "lib", "libcudart.so.13")]);
  expect(newer?.flags).toEqual({ xla_gpu_cuda_data_dir: thirteen });
});

test("a GPU's client takes as much memory as JAX's variables say; what they cannot say is one line", async () => {
  await put(CUDA, CPU);
  const optionsOf = async (more: Readonly<Record<string, string>>) =>
    (await find({ VIRTUAL_ENV: root, ...more })).map(({ platform, options }) => [platform, options]);
  expect(await optionsOf({ XLA_CLIENT_MEM_FRACTION: ".9", XLA_PYTHON_CLIENT_PREALLOCATE: "false" })).toEqual([
    ["cuda", { memory_fraction: { float: 0.9 }, preallocate: false }],
    ["cpu", undefined],
  ]);
  expect(await optionsOf({})).toEqual([
    ["cuda", undefined],
    ["cpu", undefined],
  ]);
  await expect(optionsOf({ XLA_CLIENT_MEM_FRACTION: "90" })).rejects.toThrow("a share above 0, at most 1, got 90");
  await expect(optionsOf({ XLA_PYTHON_CLIENT_PREALLOCATE: "no" })).rejects.toThrow("expected true or false, got no");
});

test("python3 on PATH leads to its packages: an environment, what it links to, pyenv's choice; it is not run", async () => {
  await put("base/bin/python3", `base/${CPU}`, `venv/${CUDA}`);
  await chmod(join(root, "base/bin/python3"), 0o755);
  await mkdir(join(root, "venv/bin"), { recursive: true });
  await symlink(join(root, "base/bin/python3"), join(root, "venv/bin/python3"));
  expect(await paths({ PATH: `${join(root, "absent")}:${join(root, "venv/bin")}` })).toEqual([
    `venv/${CUDA}`,
    `base/${CPU}`,
  ]);
  await put("pyenv/shims/python3", `pyenv/versions/3.12.1/${CPU}`, `pyenv/versions/3.11.0/${CUDA}`);
  await writeFile(join(root, "pyenv/version"), "3.12.1\n");
  expect(await paths({ PATH: join(root, "pyenv/shims") })).toEqual([`pyenv/versions/3.12.1/${CPU}`]);
  const chosen = { PATH: join(root, "pyenv/shims"), PYENV_VERSION: "3.11.0" };
  expect(await paths(chosen)).toEqual([`pyenv/versions/3.11.0/${CUDA}`]);
  expect(await paths({ ...chosen, PYENV_VERSION: "../../venv" })).toEqual([]);
});

test("PJRT_PLUGIN comes first, then what we installed; without a device a plugin is not taken", async () => {
  await put("own/plugin.so", `site/${CPU}`, "plugins/cuda12/jax_plugins/xla_cuda12/xla_cuda_plugin.so");
  const wheels = [{ package: "jax-cuda12-pjrt", version: "0.11.2", sha256: "0", licence: "Apache-2.0" }];
  const manifest = JSON.stringify({ name: "cuda12", version: "0.11.2", wheels });
  await writeFile(join(root, "plugins/cuda12", MANIFEST), manifest);
  const environment = { ...none, VIRTUAL_ENV: join(root, "site") };
  const folder = join(root, "plugins");
  expect((await findPlugins({ environment, folder })).map(({ from, package: of }) => [from, of])).toEqual([
    ["installed", "jax-cuda12-pjrt 0.11.2"],
    ["python", undefined],
  ]);
  const named = { ...environment, PJRT_PLUGIN: join(root, "own/plugin.so") };
  expect(await choosePlugin(undefined, { environment: named, folder })).toMatchObject({
    platform: "other",
    plugin: named.PJRT_PLUGIN,
  });
  expect((await choosePlugin("cuda", { environment, folder })).from).toBe("installed");
  expect((await choosePlugin("cpu", { environment: named, folder })).plugin).toBe(join(root, "site", CPU));
  await expect(choosePlugin("tpu", { environment, folder })).rejects.toThrow(
    "xla: no PJRT plugin for tpu is found (PJRT_PLUGIN, pip install libtpu,",
  );
  await expect(choosePlugin(undefined, { environment: none, folder: root })).rejects.toThrow("clip-ts engine install");
  await expect(findPlugins({ environment: { ...none, PJRT_PLUGIN: join(root, "gone.so") }, folder })).rejects.toThrow(
    `PJRT_PLUGIN: ${join(root, "gone.so")} is no file`,
  );
  // A folder whose installation was not finished, or that is not ours, does not count.
  await writeFile(join(root, "plugins/cuda12", MANIFEST), "{");
  expect((await findPlugins({ environment, folder })).map(({ from }) => from)).toEqual(["python"]);
});
