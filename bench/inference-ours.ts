/** Our sides of inference.ts: inference-ours.js JOB float32|int8|exported. `exported` is onnxruntime in Node with torch.onnx's model. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { CLIP } from "../src/clip.ts";
import type { DecodedImage } from "../src/image/index.ts";
import { officialTokenizer } from "../src/tokenizer/index.ts";
import type { Features, InferenceJob, InferenceQuestion } from "./inference-job.ts";
import { versionOf } from "./package-version.ts";
import type { Prepared, Ran } from "./protocol.ts";

interface Encoder {
  images(start: number, count: number): Promise<readonly Float32Array[]>;
  texts(captions: readonly string[]): Promise<readonly Float32Array[]>;
  files?(paths: readonly string[]): Promise<unknown>;
}

const job: InferenceJob = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const kind = process.argv[3] ?? "float32";
const { imageSize: size, text } = job.config;
const bytes = Uint8Array.from(readFileSync(job.pixels));
const begun = performance.now();

async function clip(): Promise<Encoder> {
  const model = await CLIP.load(job.weights, {
    threads: job.threads,
    ...(kind === "int8" ? { quantize: "int8" } : {}),
  });
  const each = size * size * 3;
  const pictures = Array.from({ length: job.pictures }, (_, i): DecodedImage => {
    return { width: size, height: size, data: bytes.subarray(i * each, (i + 1) * each) };
  });
  return {
    images: (start, count) => model.encodeImage(pictures.slice(start, start + count)),
    texts: (captions) => model.encodeText(captions),
    files: (paths) => model.encodeImage(paths),
  };
}

async function exported(): Promise<Encoder> {
  const session = (name: string): Promise<InferenceSession> =>
    InferenceSession.create(`${job.exported}/onnx/${name}.onnx`, { intraOpNumThreads: job.threads });
  const vision = await session("vision_model");
  const [mean, deviation] = [
    [0.48145466, 0.4578275, 0.40821073],
    [0.26862954, 0.26130258, 0.27577711],
  ];
  const each = size * size * 3;
  const planes = new Float32Array(job.pictures * each);
  for (let i = 0; i < planes.length; i++) {
    const [picture, channel, place] = [Math.floor(i / each), i % 3, Math.floor((i % each) / 3)];
    planes[picture * each + channel * size * size + place] =
      ((bytes[i] ?? 0) / 255 - (mean[channel] ?? 0)) / (deviation[channel] ?? 1);
  }
  const rows = (tensor: Tensor | undefined): Float32Array[] => {
    const { data, dims = [] } = tensor ?? {};
    const [count = 0, width = 0] = dims;
    if (!(data instanceof Float32Array)) throw new Error("no features");
    return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width));
  };
  let texts: { readonly session: InferenceSession; readonly tokenizer: Awaited<ReturnType<typeof officialTokenizer>> };
  return {
    images: async (start, count) => {
      const data = planes.slice(start * each, (start + count) * each);
      const { image_embeds } = await vision.run({ pixel_values: new Tensor("float32", data, [count, 3, size, size]) });
      return rows(image_embeds);
    },
    texts: async (captions) => {
      texts ??= { session: await session("text_model"), tokenizer: await officialTokenizer() };
      const { ids } = texts.tokenizer.tokenize(captions, { contextLength: text.contextLength });
      const input_ids = new Tensor("int64", BigInt64Array.from(ids, BigInt), [captions.length, text.contextLength]);
      const { text_embeds } = await texts.session.run({ input_ids });
      return rows(text_embeds);
    },
  };
}

const encoder = kind === "exported" ? await exported() : await clip();
let position = 0;

async function work(mode: string): Promise<void> {
  const [what, number] = mode.split(" ");
  const count = Number(number);
  if (what === "files") {
    await encoder.files?.(job.files.slice(0, count));
    return;
  }
  const length = what === "images" ? job.pictures : job.captions.length;
  const start = position % Math.max(1, length - count + 1);
  position += count;
  await (what === "images" ? encoder.images(start, count) : encoder.texts(job.captions.slice(start, start + count)));
}

async function prepare(): Promise<Prepared> {
  await work("images 1");
  position = 0;
  const versions = { node: process.versions.node, "onnxruntime-node": versionOf("onnxruntime-node") };
  return { versions, parameters: 0, firstStep: (performance.now() - begun) / 1000, compiling: 0 };
}

async function run(mode: string, warmup: number, steps: number): Promise<Ran> {
  const seconds: number[] = [];
  for (let i = 0; i < warmup + steps; i++) {
    const before = performance.now();
    await work(mode);
    if (i >= warmup) seconds.push((performance.now() - before) / 1000);
  }
  return { seconds, loss: 0 };
}

async function features(): Promise<Features> {
  const lists = (rows: readonly Float32Array[]): number[][] => rows.map((row) => [...row]);
  return { images: lists(await encoder.images(0, 4)), texts: lists(await encoder.texts(job.captions.slice(0, 4))) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const question: InferenceQuestion = JSON.parse(line);
  const answer =
    question.ask === "prepare"
      ? await prepare()
      : question.ask === "features"
        ? await features()
        : await run(question.mode, question.warmup, question.steps);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
