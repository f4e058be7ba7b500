/** Pictures with a known number of the same thing, and what to say of them. */
import type { Random } from "../../data/index.ts";
import type { RgbImage } from "../../image/index.ts";

/** From one on. */
export const NUMBERS = [
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
  "twelve",
] as const;

/** Things that are counted, and their plurals where these do not just add an s. The names are those of emoji. */
const PLURALS = {
  ...{
    dog: "",
    cat: "",
    lion: "",
    tiger: "",
    horse: "",
    cow: "",
    pig: "",
    camel: "",
    elephant: "",
    rabbit: "",
    bear: "",
  },
  ...{
    koala: "",
    penguin: "",
    owl: "",
    frog: "",
    turtle: "",
    snake: "",
    whale: "",
    crab: "",
    snail: "",
    ant: "",
    spider: "",
  },
  ...{
    butterfly: "butterflies",
    octopus: "octopuses",
    mouse: "mice",
    rose: "",
    sunflower: "",
    cactus: "cacti",
    mushroom: "",
  },
  ...{ banana: "", pear: "", lemon: "", pineapple: "", strawberry: "strawberries", tomato: "tomatoes", carrot: "" },
  ...{
    castle: "",
    bus: "buses",
    bicycle: "",
    rocket: "",
    umbrella: "",
    guitar: "",
    trumpet: "",
    key: "",
    bell: "",
    candle: "",
  },
} as const satisfies Readonly<Record<string, string>>;

export type Noun = keyof typeof PLURALS;

export const isNoun = (name: string): name is Noun => Object.hasOwn(PLURALS, name);

/** "one dog", "three dogs". @throws one line if there is no word for the number */
export function counted(noun: Noun, count: number): string {
  const number = NUMBERS[count - 1];
  if (number === undefined) throw new Error(`counting: expected a number from 1 to ${NUMBERS.length}, got ${count}`);
  return `${number} ${count === 1 ? noun : PLURALS[noun] || `${noun}s`}`;
}

/**
 * `count` copies of a drawing on white, each in a cell of its own of a square grid, the same size whatever their number, so that neither size
 * nor overlap tells it.
 * @param cells of the grid's side, cells^2 being at least the count
 */
export function canvas(item: RgbImage, count: number, cells: number, random: Random): RgbImage {
  if (!(Number.isSafeInteger(count) && count >= 1 && count <= cells * cells))
    throw new Error(`counting: expected 1 to ${cells * cells} things, got ${count}`);
  const { width, height } = item;
  const [across, down] = [cells * width, cells * height];
  const data = new Uint8Array(across * down * 3).fill(255);
  const places = random.sample(
    Array.from({ length: cells * cells }, (_, i) => i),
    count,
  );
  for (const place of places) {
    const [left, top] = [(place % cells) * width, Math.floor(place / cells) * height];
    for (let y = 0; y < height; y++)
      data.set(item.data.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * across + left) * 3);
  }
  return { width: across, height: down, data };
}
