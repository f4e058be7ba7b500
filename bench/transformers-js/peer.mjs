/** transformers.js's side of bench/inference.ts: peer.mjs JOB. Speaks bench/protocol.ts. */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import {
  AutoProcessor,
  AutoTokenizer,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  env,
  RawImage,
  Tensor,
} from "@huggingface/transformers";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const begun = performance.now();
env.allowRemoteModels = false;
env.localModelPath = dirname(job.exported);
const name = job.exported.slice(env.localModelPath.length + 1);
const options = { dtype: "fp32", device: "cpu", session_options: { intraOpNumThreads: job.threads } };
const vision = await CLIPVisionModelWithProjection.from_pretrained(name, options);
const processor = await AutoProcessor.from_pretrained(name);
let text;

const { imageSize: size } = job.config;
const bytes = readFileSync(job.pixels);
const each = size * size * 3;
const { image_mean: mean, image_std: deviation } = JSON.parse(
  readFileSync(`${job.exported}/preprocessor_config.json`, "utf8"),
);
/** Ready for the model, as the other sides have them. */
const images = Array.from({ length: job.pictures }, (_, n) => {
  const planes = new Float32Array(each);
  for (let i = 0; i < each; i++) {
    const channel = i % 3;
    planes[channel * size * size + Math.floor(i / 3)] =
      (bytes[n * each + i] / 255 - mean[channel]) / deviation[channel];
  }
  return planes;
});

async function encodeImages(start, count) {
  const data = new Float32Array(count * each);
  for (let i = 0; i < count; i++) data.set(images[start + i], i * each);
  const { image_embeds } = await vision({ pixel_values: new Tensor("float32", data, [count, 3, size, size]) });
  return image_embeds;
}

async function encodeTexts(texts) {
  text ??= {
    model: await CLIPTextModelWithProjection.from_pretrained(name, options),
    tokenizer: await AutoTokenizer.from_pretrained(name),
  };
  const { text_embeds } = await text.model(text.tokenizer(texts, { padding: true, truncation: true }));
  return text_embeds;
}

/** As its documentation does it: pictures read, processed and encoded in batches. */
async function encodeFiles(files) {
  for (let start = 0; start < files.length; start += 16) {
    const pictures = await Promise.all(files.slice(start, start + 16).map((file) => RawImage.read(file)));
    await vision(await processor(pictures));
  }
}

let position = 0;
async function work(mode) {
  const [what, number] = mode.split(" ");
  const count = Number(number);
  if (what === "files") return encodeFiles(job.files.slice(0, count));
  const length = what === "images" ? images.length : job.captions.length;
  const start = position % Math.max(1, length - count + 1);
  position += count;
  return what === "images" ? encodeImages(start, count) : encodeTexts(job.captions.slice(start, start + count));
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  if (question.ask === "prepare") {
    await work("images 1");
    position = 0;
    const versions = { "transformers.js": env.version };
    answer = { versions, parameters: 0, firstStep: (performance.now() - begun) / 1000, compiling: 0 };
  } else if (question.ask === "features")
    answer = {
      images: (await encodeImages(0, 4)).tolist(),
      texts: (await encodeTexts(job.captions.slice(0, 4))).tolist(),
    };
  else {
    const seconds = [];
    for (let i = 0; i < question.warmup + question.steps; i++) {
      const before = performance.now();
      await work(question.mode);
      if (i >= question.warmup) seconds.push((performance.now() - before) / 1000);
    }
    answer = { seconds, loss: 0 };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
