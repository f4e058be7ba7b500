import { type EmojiDrawing, heldOutVendorName, openEmoji } from "../../../data/index.ts";
import { contentHash, type HashOptions, hashOf } from "../content-hash.ts";
import type { ImagesSpec } from "../images-spec.ts";
import type { LabelledImages } from "../task.ts";

/** Drawings, with the groups of Unicode's list or their names as classes. Flags are left out. @throws one line if a package is missing */
export async function openEmojiImages(
  { classes, vendors = [heldOutVendorName], concepts: which = "all", size, cacheDir }: ImagesSpec & { kind: "emoji" },
  options: HashOptions = {},
): Promise<LabelledImages> {
  const set = await openEmoji({ ...(size !== undefined && { size }), ...(cacheDir !== undefined && { cacheDir }) });
  const { concepts, drawings } = set;
  const isWanted = ({ vendor, concept }: EmojiDrawing): boolean => {
    const { group, unseen } = concepts[concept] ?? { group: "flags", unseen: false };
    return vendors.includes(vendor) && group !== "flags" && (which === "all" || unseen === (which === "unseen"));
  };
  const numbers = drawings.flatMap((drawing, number) => (isWanted(drawing) ? [number] : []));
  if (numbers.length === 0) throw new Error(`emoji: there are no drawings of ${vendors.join(", ")}`);
  // Two concepts never have the same name; classes are in the order of Unicode's list.
  const classOf = (number: number): string => concepts[drawings[number]?.concept ?? -1]?.[classes] ?? "";
  const inOrder = [...new Set(numbers)].sort((a, b) => (drawings[a]?.concept ?? 0) - (drawings[b]?.concept ?? 0));
  const keys = [...new Set(inOrder.map(classOf))];
  const place = new Map(keys.map((key, index) => [key, index]));
  const drawingOf = (index: number): number => {
    const number = numbers[index];
    if (number === undefined) throw new Error(`emoji: picture must be in 0 .. ${numbers.length - 1}, got ${index}`);
    return number;
  };
  const all = await contentHash("emoji", [set.path], options);
  return {
    name: `emoji of ${vendors.join(", ")}${which === "all" ? "" : `, ${which}`}`,
    count: numbers.length,
    classNames: keys.map((key) => key.replaceAll("-", " ")),
    labels: Int32Array.from(numbers, (number) => place.get(classOf(number)) ?? -1),
    contentHash: hashOf("emoji", all, numbers),
    image: async (index) => set.image(drawingOf(index)),
    describe: (index) => {
      const { icon, vendor } = drawings[drawingOf(index)] ?? { icon: "", vendor: "" };
      return `emoji ${icon} of ${vendor}`;
    },
    close: async () => set.close(),
  };
}
