/** Pictures like photographs as far as a JPEG decoder is concerned: texture of all sizes, edges, grain. */
import sharp from "sharp";

/** A seeded 640 x 480 scene as JPEG, quality 90, chroma halved both ways: some 100 KB. */
export async function scene(seed: number): Promise<Buffer> {
  const [width, height] = [640, 480];
  let state = (seed * 2654435761 + 1) >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const light = new Float32Array(width * height * 3).fill(128);
  // Natural pictures have as much contrast in each octave.
  for (const size of [1, 2, 4, 8, 16, 32, 64, 128]) {
    const raw = { width: Math.ceil(width / size), height: Math.ceil(height / size), channels: 3 } as const;
    const noise = Uint8Array.from({ length: raw.width * raw.height * 3 }, () => random() * 256);
    const octave = await sharp(noise, { raw }).resize(width, height, { fit: "fill" }).raw().toBuffer();
    const share = size === 1 ? 0.06 : 0.2;
    for (let i = 0; i < light.length; i++) light[i] = (light[i] ?? 0) + share * ((octave[i] ?? 0) - 128);
  }
  const shapes = Array.from({ length: 12 }, () => {
    const [x, y, w, h] = [random() * width, random() * height, random() * 200, random() * 200];
    const colour = `rgb(${[0, 1, 2].map(() => Math.floor(random() * 256)).join()})`;
    return random() < 0.5
      ? `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${colour}" opacity="0.5"/>`
      : `<ellipse cx="${x}" cy="${y}" rx="${w / 2}" ry="${h / 2}" fill="${colour}" opacity="0.5"/>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${shapes.join("")}</svg>`;
  return sharp(Uint8ClampedArray.from(light), { raw: { width, height, channels: 3 } })
    .composite([{ input: Buffer.from(svg) }])
    .jpeg({ quality: 90 })
    .toBuffer();
}
