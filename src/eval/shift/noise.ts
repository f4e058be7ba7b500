import type { Random } from "../../data/index.ts";
import { normal, poissonTable, searched } from "./distributions.ts";
import { mapped, type Planes } from "./planes.ts";

/** Adds normal noise, as a sensor has it in little light. */
export function gaussianNoise(image: Planes, deviation: number, random: Random): Planes {
  const draw = normal(random);
  return mapped(image, (value) => value + deviation * draw());
}

const photonTables = new Map<string, Float64Array>();

/** Counts photons: the variance grows with the light. @param photons of a full pixel */
export function shotNoise(image: Planes, photons: number, random: Random): Planes {
  return mapped(image, (value) => {
    const mean = value * photons;
    const key = `${photons} ${mean}`;
    let table = photonTables.get(key);
    if (!table) {
      // Decoded pictures have 256 levels; other sources of values must not fill the memory.
      if (photonTables.size >= 256 * 15) photonTables.clear();
      table = poissonTable(mean);
      photonTables.set(key, table);
    }
    return searched(table, random.uniform()) / photons;
  });
}

/** Salt and pepper: a share of all values becomes 0 or 1. */
export function impulseNoise(image: Planes, amount: number, random: Random): Planes {
  return mapped(image, (value) => {
    const draw = random.uniform();
    return draw >= amount ? value : draw < amount / 2 ? 0 : 1;
  });
}
