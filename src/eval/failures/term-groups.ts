/** Words that say who is meant, and audits made of them. Plain data: add what a data set of yours is about. */

/** Whole words, lower case; several words are a phrase. */
export type TermGroup = readonly string[];

export const PEOPLE = {
  gender: {
    male: [
      "man",
      "men",
      "boy",
      "boys",
      "male",
      "father",
      "son",
      "brother",
      "grandfather",
      "husband",
      "groom",
      "prince",
      "king",
      "santa claus",
      "mr",
      "he",
      "his",
    ],
    female: [
      "woman",
      "women",
      "girl",
      "girls",
      "female",
      "mother",
      "daughter",
      "sister",
      "grandmother",
      "wife",
      "bride",
      "princess",
      "queen",
      "mrs claus",
      "mrs",
      "she",
      "her",
    ],
    neutral: ["person", "people", "child", "adult", "parent", "they", "someone", "mx claus"],
  },
  "skin tone": {
    light: ["light skin tone", "pale skin", "white skin", "fair skin"],
    medium: ["medium light skin tone", "medium skin tone", "medium dark skin tone", "brown skin", "olive skin"],
    dark: ["dark skin tone", "black skin", "dark skin"],
  },
  age: {
    young: ["baby", "child", "children", "kid", "boy", "girl", "young", "teenager"],
    old: ["old", "older", "elderly", "senior", "grandfather", "grandmother", "grandpa", "grandma"],
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, TermGroup>>>>;

/** The attribute words of WEAT's tests 6 to 8 (Caliskan et al. 2017, supplement), and those of valence of its test 1, shortened. */
const ATTRIBUTES = {
  career: ["executive", "management", "professional", "corporation", "salary", "office", "business", "career"],
  family: ["home", "parents", "children", "family", "cousins", "marriage", "wedding", "relatives"],
  science: ["science", "technology", "physics", "chemistry", "einstein", "nasa", "experiment", "astronomy"],
  arts: ["poetry", "art", "shakespeare", "dance", "literature", "novel", "symphony", "drama"],
  pleasant: ["love", "peace", "wonderful", "joy", "friend", "laughter", "happy", "pleasure"],
  unpleasant: ["agony", "terrible", "horrible", "nasty", "evil", "war", "awful", "failure"],
} as const satisfies Readonly<Record<string, TermGroup>>;

export interface Audit {
  readonly name: string;
  /** Groups of pictures, by what their class names say, and of people in texts. */
  readonly x: { readonly name: string; readonly terms: TermGroup };
  readonly y: { readonly name: string; readonly terms: TermGroup };
  readonly a: { readonly name: string; readonly terms: TermGroup };
  readonly b: { readonly name: string; readonly terms: TermGroup };
}

const { male, female } = PEOPLE.gender;
const { young, old } = PEOPLE.age;

export const AUDITS: readonly Audit[] = [
  audit("gender: career and family", ["male", male], ["female", female], "career", "family"),
  audit("gender: science and arts", ["male", male], ["female", female], "science", "arts"),
  audit("gender: pleasant and unpleasant", ["male", male], ["female", female], "pleasant", "unpleasant"),
  audit("age: pleasant and unpleasant", ["young", young], ["old", old], "pleasant", "unpleasant"),
];

function audit(
  name: string,
  [xName, x]: readonly [string, TermGroup],
  [yName, y]: readonly [string, TermGroup],
  a: keyof typeof ATTRIBUTES,
  b: keyof typeof ATTRIBUTES,
): Audit {
  return {
    name,
    x: { name: xName, terms: x },
    y: { name: yName, terms: y },
    a: { name: a, terms: ATTRIBUTES[a] },
    b: { name: b, terms: ATTRIBUTES[b] },
  };
}

/** Lower-case words with one space between them and at the ends. */
const spaced = (text: string): string =>
  ` ${text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim()} `;

/** Whether a text has one of the terms as whole words. */
export function mentions(text: string, terms: TermGroup): boolean {
  const words = spaced(text);
  return terms.some((term) => words.includes(` ${term} `));
}

export interface Imbalance {
  /** "gender", "skin tone", "age". */
  readonly of: string;
  readonly group: string;
  /** Texts, weighted by how often each occurs, that mention the group. */
  readonly count: number;
}

/** How often a data set's texts mention each group of people; a text may mention several. @param counts [texts] */
export function imbalances(texts: readonly string[], counts?: ArrayLike<number>): readonly Imbalance[] {
  return Object.entries(PEOPLE).flatMap(([of, groups]) =>
    Object.entries(groups).map(([group, terms]) => ({
      of,
      group,
      count: texts.reduce((sum, text, i) => sum + (mentions(text, terms) ? (counts?.[i] ?? 1) : 0), 0),
    })),
  );
}
