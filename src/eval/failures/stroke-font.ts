/**
 * Letters as strokes, so that a word looks the same on every machine, whatever fonts it has. A glyph is a list of lines between points on a grid,
 * 4 wide and 6 high, y downwards: two digits a point.
 */
const GLYPHS: Readonly<Record<string, string>> = {
  A: "06 20 46,14 34",
  B: "00 06 36 45 44 33 03,33 42 41 30 00",
  C: "41 30 10 01 05 16 36 45",
  D: "00 06 26 45 41 20 00",
  E: "40 00 06 46,03 33",
  F: "40 00 06,03 33",
  G: "41 30 10 01 05 16 36 45 43 23",
  H: "00 06,40 46,03 43",
  I: "10 30,20 26,16 36",
  J: "40 45 36 16 05",
  K: "00 06,40 03 46",
  L: "00 06 46",
  M: "06 00 23 40 46",
  N: "06 00 46 40",
  O: "10 01 05 16 36 45 41 30 10",
  P: "06 00 30 41 42 33 03",
  Q: "10 01 05 16 36 45 41 30 10,24 46",
  R: "06 00 30 41 42 33 03,23 46",
  S: "41 30 10 01 02 13 33 44 45 36 16 05",
  T: "00 40,20 26",
  U: "00 05 16 36 45 40",
  V: "00 26 40",
  W: "00 16 23 36 40",
  X: "00 46,40 06",
  Y: "00 23 40,23 26",
  Z: "00 40 06 46",
  "0": "10 01 05 16 36 45 41 30 10,32 14",
  "1": "11 20 26,16 36",
  "2": "01 10 30 41 42 06 46",
  "3": "01 10 30 41 42 33 44 45 36 16 05,13 33",
  "4": "36 30 04 44",
  "5": "40 00 03 33 44 45 36 06",
  "6": "30 10 01 05 16 36 45 44 33 03",
  "7": "00 40 16",
  "8": "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
  "9": "43 13 02 01 10 30 41 45 36 16",
  "-": "13 33",
  "'": "20 22",
  ".": "26 26",
  ",": "25 16",
  "#": "10 16,30 36,02 42,04 44",
  "*": "21 25,02 44,42 04",
};

/** Columns from one letter to the next, and rows from one line to the next. */
const ADVANCE = 6;
const LEADING = 9;

/** What cannot be written, such as other scripts, is left out. */
export const writable = (text: string): string =>
  [...text.normalize("NFD").toUpperCase()].filter((letter) => letter === " " || letter in GLYPHS).join("");

export interface Lettering {
  /** An SVG path, from 0, 0 at the top left. */
  readonly path: string;
  /** In grid units. */
  readonly width: number;
  readonly height: number;
}

/** @param lines capital letters, digits, spaces; what has no glyph is left out */
export function lettering(lines: readonly string[]): Lettering {
  const widest = Math.max(...lines.map((line) => line.length));
  const strokes = lines.flatMap((line, row) => {
    const indent = ((widest - line.length) * ADVANCE) / 2;
    return [...line].flatMap((letter, column) => {
      const glyph = GLYPHS[letter];
      return glyph === undefined ? [] : strokesOf(glyph, indent + column * ADVANCE, row * LEADING);
    });
  });
  return { path: strokes.join(""), width: widest * ADVANCE - 2, height: lines.length * LEADING - 3 };
}

const strokesOf = (glyph: string, left: number, top: number): string[] =>
  glyph.split(",").map((line) => {
    const points = line.split(" ").map((point) => `${left + Number(point[0])} ${top + Number(point[1])}`);
    return `M${points.join("L")}`;
  });

/** Words on at most `most` lines, as evenly as spaces allow. */
export function wrapped(text: string, most: number): string[] {
  const words = text.split(" ").filter((word) => word !== "");
  const fits = (width: number): string[] => {
    const lines: string[] = [];
    for (const word of words) {
      const last = lines.at(-1);
      if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
      else lines.push(word);
    }
    return lines;
  };
  const longest = Math.max(1, ...words.map((word) => word.length));
  for (let width = longest; width < text.length; width++) {
    const lines = fits(width);
    // A line is half as high as a letter is wide, so that few long lines come out smaller than some short ones.
    if (lines.length <= most && lines.length * LEADING >= width * ADVANCE * 0.3) return lines;
  }
  return fits(longest).length <= most ? fits(longest) : fits(text.length);
}
