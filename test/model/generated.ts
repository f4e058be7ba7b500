/** Weights and images made from names: what `test/golden/fullsize` was computed with (its generator.json is the definition). */
import { expect } from "vitest";
import { elements, type HostTensor, hostTensor } from "../../src/graph/index.ts";

/** FNV-1a, 32 bits. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Multiples of 2^-23 in [-1, 1): a hash (lowbias32) of the seed and the place. */
export function uniform(name: string, count: number): Float32Array {
  const seed = seedOf(name);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let x = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    x ^= x >>> 16;
    values[i] = ((x >>> 8) - 8388608) / 8388608;
  }
  return values;
}

/** A parameter or running statistic. */
export function generated(name: string, shape: readonly number[]): HostTensor {
  const [center = 0, scale = 0] = rule(name, shape).map(Math.fround);
  const data = uniform(name, elements(shape));
  for (let i = 0; i < data.length; i++) data[i] = center + Math.fround((data[i] ?? 0) * scale);
  return { dtype: "f32", shape, data };
}

function rule(name: string, shape: readonly number[]): [center: number, scale: number] {
  const parts = name.split(".");
  const [parent = "", leaf = ""] = ["", ...parts].slice(-2);
  const [first = 1, into = 1, height = 1, width = 1] = shape;
  const unit = Math.sqrt(3); // a uniform number between -sqrt 3 and sqrt 3 has variance 1
  if (name === "logit_scale") return [Math.log(1 / 0.07), 0];
  if (leaf === "running_mean") return [0, 0.1];
  if (leaf === "running_var") return [1, 0.2];
  if (leaf === "bias" || leaf === "in_proj_bias") return [0, 0.1];
  if (leaf === "weight" && shape.length === 1) return [parent === "bn3" && name.includes(".layer") ? 0.3 : 1, 0.1];
  if (shape.length === 4) return [0, unit * Math.sqrt((into === 3 ? 1 : 2) / (into * height * width))];
  if (name === "token_embedding.weight") return [0, 1];
  if (leaf === "positional_embedding" || leaf === "class_embedding") return [0, 0.5];
  if (leaf === "text_projection" || leaf === "proj") return [0, unit * Math.sqrt(1 / first)];
  if (parent === "q_proj" || parent === "k_proj") return [0, 3 * unit * Math.sqrt(1 / into)];
  return [0, unit * Math.sqrt(1 / into)];
}

/** An image [3, size, size], as the network sees it: 8 x 8 coarse squares under fine noise. */
export function generatedImage(name: string, size: number): Float32Array {
  const [coarse, fine] = [uniform(`${name}.coarse`, 192), uniform(`${name}.fine`, 3 * size * size)];
  return fine.map((noise, i) => {
    const [c, y, x] = [Math.floor(i / size / size), Math.floor(i / size) % size, i % size];
    const square = (c * 8 + Math.floor((y * 8) / size)) * 8 + Math.floor((x * 8) / size);
    return Math.fround((coarse[square] ?? 0) * 1.5) + Math.fround(noise * 0.5);
  });
}

/** Sum of the 32-bit patterns, modulo 2^32. */
export function bitsum(values: Float32Array): number {
  let sum = 0;
  for (const bits of new Uint32Array(values.buffer, values.byteOffset, values.length)) sum = (sum + bits) >>> 0;
  return sum;
}

/** Root mean square and mean. */
export function moments({ data }: HostTensor): [rms: number, mean: number] {
  let [squares, sum] = [0, 0];
  for (const value of data) {
    squares += value * value;
    sum += value;
  }
  return [Math.sqrt(squares / data.length), sum / data.length];
}

/** Pictures by their names as [count, 3, size, size], each compared with what the official run had. */
export function generatedImages(names: readonly string[], sums: readonly number[], size: number): HostTensor {
  const data = new Float32Array(names.length * 3 * size ** 2);
  for (const [i, name] of names.entries()) {
    const picture = generatedImage(name, size);
    expect(bitsum(picture), name).toBe(sums[i]);
    data.set(picture, i * picture.length);
  }
  return hostTensor("f32", [names.length, 3, size, size], data);
}
