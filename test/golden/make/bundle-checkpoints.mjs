// Packs checkpoints that the official libraries wrote, and damaged ones, into one file for the tests: most hold the same
// weights, which Brotli's large window stores once. Usage: node bundle-checkpoints.mjs FIXTURES/models > ../models/checkpoints.br
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const root = process.argv[2];
const WANTED = [
  /^micro\/(model\.safetensors|state_dict.*|open_clip.*|model_bf16.*)$/,
  /^tiny-vit\/(torchscript_fp16\.pt|state_dict\.pt|hf\/.*|open_clip\/.*)$/,
  /^tiny-rn\/(torchscript_fp16\.pt|state_dict\.pt|open_clip\/.*)$/,
  /^malformed\/.*$/,
];

function* walk(folder) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* walk(path);
    else yield path;
  }
}

const files = [...walk(root)].map((path) => relative(root, path)).filter((path) => WANTED.some((w) => w.test(path)));
const contents = files.map((file) => readFileSync(join(root, file)));
const head = Buffer.from(JSON.stringify(files.map((file, i) => [file, contents[i].length])));
const length = Buffer.alloc(4);
length.writeUInt32LE(head.length);
const whole = Buffer.concat([length, head, ...contents]);
process.stderr.write(`${files.length} files, ${whole.length} bytes\n`);
const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: whole.length };
process.stdout.write(brotliCompressSync(whole, { params }));
