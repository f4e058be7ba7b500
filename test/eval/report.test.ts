import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { evaluationPage } from "../../src/eval/report/evaluation-page.ts";
import { type EvalResult, readResults } from "../../src/eval/result.ts";
import { html, page, picture } from "../../src/page/index.ts";
import { evalResult, figure, PIXEL } from "./results.ts";

const text = (markup: string): string =>
  markup
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");

const full: EvalResult = evalResult({
  figures: [figure("top-1", 0.23749, 0.22451, 0.24951), figure("ROC AUC", 0.871)],
  details: {
    classNames: ["cat", "dog", "axolotl"],
    perClass: [
      { samples: 4, value: 0.75 },
      { samples: 10, value: 0.2, low: 0.05, high: 0.4 },
      { samples: 0, value: 0 },
    ],
    confusion: { actual: [0, 0, 1, 1], predicted: [0, 1, 0, 1], counts: [3, 1, 8, 2] },
    calibration: {
      expectedError: 0.1234,
      greatestError: 0.3,
      bins: [
        { low: 0, high: 0.5, count: 4, confidence: 0.4, accuracy: 0.25 },
        { low: 0.5, high: 1, count: 10, confidence: 0.8, accuracy: 0.5 },
      ],
    },
    worst: [
      { picture: { name: "p/1.png", index: 1, thumbnail: PIXEL }, label: "cat", predicted: "dog", confidence: 0.987 },
    ],
    curves: [
      {
        title: "Shots",
        x: { name: "examples per class", log: true },
        y: { name: "accuracy", unit: "share" },
        lines: [
          {
            name: "Tip-Adapter",
            points: [
              { x: 1, y: 0.31, low: 0.3, high: 0.35 },
              { x: 16, y: 0.62, low: 0.6, high: 0.65 },
            ],
          },
          { name: "linear probe", points: [{ x: 1, y: 0.2 }] },
        ],
      },
      {
        title: "Shift",
        logit: true,
        x: { name: "without shift", unit: "share" },
        y: { name: "with shift", unit: "share" },
        lines: [{ name: "models", points: [{ x: 0.6, y: 0.4, low: 0.35, high: 0.45, label: "supervised" }] }],
      },
    ],
    tables: [{ title: "Gains", head: ["fine-grained", "gain"], rows: [["ensemble", 0.0351]] }],
    examples: [
      {
        title: "Captions and what was found",
        rows: [
          {
            query: { text: "a red car" },
            answers: [{ picture: { name: "car.png", index: 7, thumbnail: PIXEL }, score: 0.31, right: true }],
          },
        ],
      },
    ],
    notes: ["Twelve pictures are grey."],
  },
});

it("shows every figure with its interval, and all that the details have", () => {
  const shown = evaluationPage([full]);
  const words = text(shown);
  for (const words_ of [
    "23.7 %",
    "(22.5 to 25.0)",
    "87.1 %",
    "Calibration: expected error 12.3 %",
    "Twelve pictures are grey.",
  ])
    expect(words).toContain(words_);
  // Clopper and Pearson's interval of 3 of 4; the other class brought its own.
  expect(words).toContain("cat 4 75.0 % (19.4 to 99.4)");
  expect(words).toContain("dog 10 20.0 % (5.0 to 40.0)");
  expect(words).not.toContain("axolotl 0");
  expect(words).toContain("dog cat 8 10");
  expect(words).toContain("dog 98.7 % sure is cat p/1.png");
  expect(words).toContain("ensemble 0.0351");
  expect(words).toContain("a red car");
  expect(words).toContain("Tip-Adapter: 16, 62.0 % (60.0 % to 65.0 %)");
  expect(words).toContain("supervised: 60.0 %, 40.0 % (35.0 % to 45.0 %)");
  expect(words).toMatch(/How it was measured .* fingerprint f1f1 .* hash d1d1 seed 7/);
  expect(shown.match(/<img /g)).toHaveLength(2);
  expect(shown).not.toMatch(/NaN|undefined|Infinity/);
});

it("draws points where their numbers are", () => {
  const shown = evaluationPage([full]);
  const [, first = "", last = ""] = shown.match(/<polyline points="(\d+\.\d,[\d.]+) ([\d.]+,[\d.]+)"/) ?? [];
  const [x1 = 0, y1 = 0] = first.split(",").map(Number);
  const [x2 = 0, y2 = 0] = last.split(",").map(Number);
  // k = 1 and 16 are the ends of the axis; ticks say where 30 and 60 % are.
  const tick = (label: string): number =>
    Number(shown.match(new RegExp(`y1="([\\d.]+)" y2="[\\d.]+"/><text [^>]*>${label}</text>`))?.[1]);
  expect([x1, x2]).toEqual([44, 404]);
  const perShare = (tick("60") - tick("30")) / 0.3;
  expect(y1).toBeCloseTo(tick("30") + 0.01 * perShare, 0);
  expect(y2).toBeCloseTo(tick("60") + 0.02 * perShare, 0);
});

it("summarises several results and links to each", () => {
  const other = evalResult({ task: "digits", kind: "linear-probe", figures: [figure("accuracy", 0.9)] });
  const bias = evalResult({
    task: "people",
    kind: "bias",
    figures: [{ name: "gap", value: -0.21, samples: 9, unit: "score" }],
  });
  const shown = evaluationPage([full, other, bias], "All of it");
  expect(text(shown)).toContain("All of it 3 evaluations");
  for (const i of [0, 1, 2]) {
    expect(shown).toContain(`href="#r${i}"`);
    expect(shown).toContain(`id="r${i}"`);
  }
  expect(text(shown)).toContain("people bias gap -0.21");
});

const HOSTILE = `"'\`><script>alert(1)</script><img src=x onerror=alert(2)>&amp;`;

it("leaves out what few pictures of many classes cannot tell", () => {
  const classes = Array.from({ length: 40 }, (_, i) => i);
  const shown = evaluationPage([
    evalResult({
      details: {
        classNames: classes.map((i) => `class ${i}`),
        perClass: classes.map((i) => ({ samples: 1, value: Number(i === 7) })),
        confusion: { actual: classes, predicted: classes.map(() => 7), counts: classes.map(() => 1) },
      },
    }),
  ]);
  const words = text(shown);
  expect(words).toContain("Answers given wrongly most often answer wrongly rightly class 7 39 1");
  expect(words).not.toMatch(/Each class|best and the worst|Confusion|Most often confused/);
});

it("nothing from outside becomes markup", () => {
  const item = {
    text: HOSTILE,
    picture: { name: HOSTILE, index: 0, thumbnail: `${PIXEL}" onload="alert(3)` },
    score: 1,
  };
  const hostile = evalResult({
    task: HOSTILE,
    model: { name: HOSTILE, fingerprint: HOSTILE },
    data: { name: HOSTILE, hash: HOSTILE, pictures: 1, unreadable: 1, classes: 2 },
    figures: [figure(HOSTILE, 0.5), figure(HOSTILE, 0.5), { name: HOSTILE, value: 1, samples: 1, unit: "score" }],
    settings: { [HOSTILE]: HOSTILE },
    versions: { [HOSTILE]: HOSTILE },
    kind: "counting",
    details: {
      classNames: [HOSTILE, HOSTILE],
      perClass: [{ samples: 1, value: 1 }],
      confusion: { actual: [0, 1], predicted: [1, 1], counts: [2, 2] },
      worst: [{ picture: item.picture, label: HOSTILE, predicted: HOSTILE, confidence: 1 }],
      curves: [
        {
          title: HOSTILE,
          x: { name: HOSTILE },
          y: { name: HOSTILE, unit: "share" },
          lines: ["a", "b"].map(() => ({ name: HOSTILE, points: [{ x: 1, y: 1, label: HOSTILE }] })),
        },
      ],
      tables: [{ title: HOSTILE, head: [HOSTILE], rows: [[HOSTILE]] }],
      examples: [{ title: HOSTILE, rows: [{ query: item, answers: [item] }] }],
      notes: [HOSTILE],
    },
  });
  const shown = evaluationPage([hostile, hostile], HOSTILE);
  expect(shown).not.toMatch(/<script|<img/i);
  // An attribute ends at its own quote: outside of quotes nothing of the text is left.
  const outside = shown.replace(/<style>.*?<\/style>/s, "").replace(/="[^"]*"/g, "");
  expect([...outside.matchAll(/<[^>]*>/g)].some(([tag]) => /alert|onload|onerror/.test(tag))).toBe(false);
  expect(shown).toContain(`Content-Security-Policy" content="default-src 'none'; img-src data:;`);
  expect(shown).not.toMatch(/(src|href)="(?!data:image\/|#)/);
});

it("text stays text whatever it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (words) => {
      const { html: shown } = html`<b title="${words}">${words}</b>`;
      expect(shown.match(/[<>"]/g)).toEqual(["<", '"', '"', ">", "<", ">"]);
      const back = shown.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
      expect(back).toBe(`<b title="${words}">${words}</b>`);
    }),
  );
  expect(page({ title: "<", summary: "&", body: html`<p>${"<p>"}</p>` })).toContain("<p>&#60;p&#62;</p>");
});

it("shows only pictures that are in the page", () => {
  expect(picture(PIXEL, "one")?.html).toContain(PIXEL);
  for (const address of [
    "https://example.org/a.png",
    "javascript:alert(1)",
    "data:image/svg+xml;base64,PHN2Zz4=",
    "data:text/html;base64,PHN2Zz4=",
    `${PIXEL}#"`,
    "",
    undefined,
  ])
    expect(picture(address, "other")).toBeUndefined();
});

it("results of nothing, of ends and of huge numbers still make a page", () => {
  const odd = evalResult({
    figures: [],
    details: {
      curves: [
        {
          title: "none",
          x: { name: "x", log: true },
          y: { name: "y", unit: "score" },
          lines: [{ name: "l", points: [] }],
        },
      ],
      confusion: { actual: [], predicted: [], counts: [] },
      perClass: [],
      worst: [],
    },
  });
  const same = evalResult({
    figures: [figure("a", 1, 1, 1), figure("b", 1, 1, 1)],
    kind: "bias",
    details: {
      curves: [
        {
          title: "one",
          x: { name: "x", log: true },
          y: { name: "y", unit: "score" },
          lines: [
            {
              name: "l",
              points: [
                { x: 0, y: 1e300 },
                { x: 4, y: -1e300 },
              ],
            },
          ],
        },
      ],
    },
  });
  expect(evaluationPage([odd, same])).not.toMatch(/NaN|undefined|Infinity/);
});

it("a file that was tampered with is refused in one line or makes a page that is safe", async () => {
  const leaves: (readonly (string | number)[])[] = [];
  const walk = (value: unknown, path: readonly (string | number)[]): void => {
    leaves.push(path);
    if (Array.isArray(value)) for (const [i, one] of value.entries()) walk(one, [...path, i]);
    else if (typeof value === "object" && value !== null)
      for (const [key, one] of Object.entries(value)) walk(one, [...path, key]);
  };
  walk(full, []);
  const put = (place: unknown, [key = "", ...rest]: readonly (string | number)[], value: unknown): unknown => {
    if (Array.isArray(place))
      return place.map((one, i) => (i === key ? (rest.length ? put(one, rest, value) : value) : one));
    const entries = Object.entries(place as Record<string, unknown>);
    return Object.fromEntries(
      entries.map(([name, one]) => [name, name === key ? (rest.length ? put(one, rest, value) : value) : one]),
    );
  };
  const folder = await mkdtemp(join(tmpdir(), "tampered-"));
  const odd = [
    HOSTILE,
    "",
    "__proto__",
    0,
    -1,
    0.5,
    1e308,
    -1e308,
    2 ** 31 + 1,
    Number.MAX_SAFE_INTEGER,
    null,
    true,
    [],
    {},
    [[]],
  ];
  try {
    let pages = 0;
    for (const path of leaves)
      for (const value of odd) {
        const result = path.length === 0 ? value : put(full, path, value);
        const file = join(folder, "t.json");
        await writeFile(file, JSON.stringify({ format: "clip-ts evaluation 1", results: [result, result] }));
        let results: readonly EvalResult[];
        try {
          results = await readResults(file);
        } catch (error) {
          expect(error instanceof Error && !error.message.includes("\n")).toBe(true);
          continue;
        }
        const shown = evaluationPage(results);
        pages++;
        expect(shown).not.toMatch(/<script|onerror="|NaN|Infinity/);
        expect(shown).not.toMatch(/(src|href)="(?!data:image\/|#)/);
      }
    expect(pages).toBeGreaterThan(300);
  } finally {
    await rm(folder, { recursive: true });
  }
});

it("a damaged file of results is one clear line", async () => {
  const folder = await mkdtemp(join(tmpdir(), "results-"));
  try {
    const path = join(folder, "r.json");
    const saying = async (content: string, message: RegExp): Promise<void> => {
      await writeFile(path, content);
      const error = await readResults(path).then(
        () => new Error("read"),
        (reason: Error) => reason,
      );
      expect(error.message).toMatch(message);
      expect(error.message.split("\n")).toHaveLength(1);
      expect(error.message.length).toBeLessThan(400);
    };
    const file = (result: unknown, format = "clip-ts evaluation 1") => JSON.stringify({ format, results: [result] });
    await saying("", /r\.json: is no JSON/);
    await saying("[".repeat(200_000), /r\.json/);
    await saying(file(full, "clip-ts evaluation 9"), /r\.json: .*format/);
    await saying(file({ ...full, seed: -1 }), /results\.0\.seed/);
    await saying(file({ ...full, figures: [{ ...full.figures[0], value: "0.5" }] }), /results\.0\.figures\.0\.value/);
    await saying(file({ ...full, details: { confusion: { actual: [1], predicted: [], counts: [1] } } }), /one length/);
    await expect(readResults(join(folder, "none.json"))).rejects.toThrow("none.json: there is no such file");
    await writeFile(path, file(full));
    expect(await readResults(path)).toEqual([full]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
