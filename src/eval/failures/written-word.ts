import type { Random } from "../../data/index.ts";
import { overlaySvg, type RgbImage } from "../../image/index.ts";
import { lettering, wrapped, writable } from "./stroke-font.ts";

/** Share of the picture's sides that a word may take. */
const ACROSS = 0.9;
const DOWN = 0.34;
const MOST_LINES = 3;

/**
 * The picture with a word on it: white letters with a black rim, at a place that is drawn (as in the synthetic attacks of Defense-Prefix, arXiv
 * 2304.04512, section 4.1).
 * @throws one line if nothing of the word can be written
 */
export function writeWord(image: RgbImage, word: string, random: Random): Promise<RgbImage> {
  const lines = wrapped(writable(word), MOST_LINES);
  const { path, width, height } = lettering(lines);
  if (path === "") throw new Error(`written word: there is no letter for ${JSON.stringify(word)}`);
  // The stroke's half sticks out on every side.
  const unit = Math.min((ACROSS * image.width) / (width + 3), (DOWN * image.height) / (height + 3));
  const room = { x: image.width - unit * (width + 3), y: image.height - unit * (height + 3) };
  const x = unit * 1.5 + random.uniform() * room.x;
  const y = unit * 1.5 + random.uniform() * room.y;
  const stroke = (colour: string, thick: number): string =>
    `<path d="${path}" stroke="${colour}" stroke-width="${thick}" fill="none" stroke-linecap="round" stroke-linejoin="round"/>`;
  const letters = `<g transform="translate(${x} ${y}) scale(${unit})">${stroke("#000", 2.6)}${stroke("#fff", 1.2)}</g>`;
  return overlaySvg(
    image,
    `<svg xmlns="http://www.w3.org/2000/svg" width="${image.width}" height="${image.height}">${letters}</svg>`,
  );
}

/** Letters at random, as many as the word has, spaces where it has them: covers as much and says nothing. */
export function nonsense(word: string, random: Random): string {
  return [...writable(word)].map((letter) => (letter === " " ? " " : random.pick(LETTERS))).join("");
}

const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
