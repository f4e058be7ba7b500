/**
 * Damaged and hostile files end in one line, run nothing and take no memory: in a process of their own with a heap of 64 MB.
 * The list and what is expected of each is that of the fixtures' manifest.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { bundledFiles, unpacked } from "./bundle.ts";

interface Entry {
  readonly file: string;
  readonly problem: string;
  readonly expect: string;
  readonly stage: "load" | "model";
  readonly tensor?: string;
}

interface Outcome {
  readonly path: string;
  readonly seconds: number;
  readonly megabytes: number;
  /** Properties of every object. */
  readonly polluted: number;
  readonly tensors?: readonly string[];
  readonly error?: string;
}

const CHILD = fileURLToPath(new URL("load-all.mjs", import.meta.url));
const bundled = await bundledFiles();
const manifest = JSON.parse(new TextDecoder().decode(bundled.get("malformed/manifest.json"))) as {
  marker: string;
  files: readonly Entry[];
};
const place = unpacked("malformed/");
const outcomes = new Map<string, Outcome>();
let said = "";

beforeAll(async () => {
  for (const stage of ["load", "model"] as const) {
    const entries = manifest.files.filter((entry) => entry.stage === stage);
    const paths = entries.map(({ file }) => place(`malformed/${file}`.replace(/\/$/, "")));
    const options = ["--max-old-space-size=64", CHILD, stage, ...paths];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, options, { cwd: place("") });
    said += stdout + stderr;
    for (const [i, line] of stdout.trim().split("\n").entries())
      outcomes.set(entries[i]?.file ?? "", JSON.parse(line) as Outcome);
  }
});

/** Entries that are well-formed, or may be taken for it. */
const LOADS: Readonly<Record<string, readonly string[]>> = {
  "st_ok.safetensors": ["text_projection", "visual.proj", "ln_final.weight"],
  "st_proto_key.safetensors": ["text_projection", "visual.proj", "ln_final.weight", "__proto__", "constructor"],
  "st_scalar_and_empty.safetensors": ["scalar", "empty", "i64", "bool"],
  "pt_ok.pt": ["text_projection"],
  "pt_proto_key.pt": ["text_projection"],
  "pt_nested_state_dict.pt": ["text_projection"],
  "pt_legacy.pt": ["text_projection"],
};

/** What a message must say beside the tensor, where the manifest says it in words. */
const WORDS: Readonly<Record<string, string>> = {
  "pt_os_system.pt": "posix.system",
  "pt_os_system_alias.pt": "os.system",
  "pt_eval.pt": "builtins.eval",
  "pt_getattr.pt": "builtins.getattr",
  "pt_js_constructor.pt": "constructor.constructor",
  "pt_unknown_storage.pt": "torch.QInt8Storage",
  "pt_pickle_unknown_opcode.pt": "0xfe",
  "pt_no_data_pkl.pt": "no PyTorch checkpoint",
  "pt_html_page.pt": "is no checkpoint",
  "pt_lfs_pointer.safetensors": "is no checkpoint",
  "gguf_magic.safetensors": "is no checkpoint",
  "st_unknown_dtype.safetensors": "F99",
  "model_int_weights.safetensors": "I32",
  "model_shape_mismatch.safetensors": "expected [192,64], got [64,192]",
  "model_bias_short.safetensors": "expected [64], got [63]",
  "model_empty_state.safetensors": "no CLIP checkpoint",
  "dir_bad_json/": "open_clip_config.json: is no JSON",
  "dir_no_model_cfg/": "model_cfg: is missing",
  "dir_no_weights/": "open_clip_model.safetensors",
  "dir_config_embed_dim/": "model_cfg.embed_dim is 999, by the weights 16",
  "dir_config_more_layers/": "model_cfg.text_cfg.layers is 2, by the weights 1",
  "dir_timm_tower/": "timm",
  "dir_hf_text_tower/": "Hugging Face",
};

it("the list is whole", () => expect([manifest.files.length, outcomes.size]).toEqual([86, 86]));

describe.each(manifest.files)("$file: $problem: $expect", ({ file, tensor, stage }) => {
  it("ends well", () => {
    const { tensors, error = "", seconds, megabytes } = outcomes.get(file) ?? { seconds: 1e9, megabytes: 1e9 };
    expect(seconds).toBeLessThan(5);
    expect(megabytes).toBeLessThan(256);
    const loads = LOADS[file];
    if (loads) expect([...(tensors ?? [error])].sort()).toEqual([...loads].sort());
    else if (file === "model_logit_scale_vector.safetensors") expect(tensors).toContain("logit_scale");
    else {
      expect(error).toContain(place(`malformed/${file}`.replace(/\/$/, "")));
      expect(error).not.toContain("\n");
      expect(error.length).toBeLessThan(600);
      expect(error).not.toMatch(/undefined|is not a function|no Error|not iterable/);
      if (tensor !== undefined) expect(error).toContain(tensor);
      if (WORDS[file] !== undefined) expect(error).toContain(WORDS[file]);
    }
    expect(stage === "model" || !file.endsWith("/")).toBe(true);
  });
});

it("nothing has run: no marker, no file, no global changed", () => {
  expect(said).not.toContain(manifest.marker);
  expect(existsSync(place("evil.txt"))).toBe(false);
  const own = Reflect.ownKeys(Object.prototype).length;
  expect([...outcomes.values()].map(({ polluted }) => polluted)).toEqual(manifest.files.map(() => own));
});
