import type { LabelledImages } from "../task.ts";

export interface PathsAndLabels {
  readonly paths: readonly string[];
  readonly labels: readonly number[];
  readonly classNames: readonly string[];
  readonly hash: string;
  /** What messages call each. @default its path */
  readonly describe?: (index: number) => string;
}

/** Pictures that are files. */
export function pathSource(
  name: string,
  { paths, labels, classNames, hash, describe }: PathsAndLabels,
): LabelledImages {
  const pathOf = (index: number): string => {
    const path = paths[index];
    if (path === undefined) throw new Error(`${name}: picture must be in 0 .. ${paths.length - 1}, got ${index}`);
    return path;
  };
  return {
    name,
    count: paths.length,
    classNames,
    labels: Int32Array.from(labels),
    contentHash: hash,
    image: async (index) => pathOf(index),
    describe: describe ?? pathOf,
  };
}

/** Labels by the names of their classes. @param classNames the order of the classes @default the names, sorted */
export function numbered(
  names: readonly string[],
  classNames: readonly string[] = [...new Set(names)].sort(),
): { readonly labels: number[]; readonly classNames: readonly string[] } {
  const numberOf = new Map(classNames.map((name, number) => [name, number]));
  return { labels: names.map((name) => numberOf.get(name) ?? -1), classNames };
}
