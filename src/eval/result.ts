/** What every evaluation returns: figures with their intervals, all that it takes to make them again, and what a report draws. */
import { z } from "zod";
import { writeFileAtomic } from "../checkpoint/index.ts";
import { checked, readJson } from "../json-file.ts";

export const EVAL_KINDS = [
  "zero-shot",
  "linear-probe",
  "supervised",
  "few-shot",
  "fine-tuning",
  "natural-shift",
  "corruptions",
  "typographic",
  "counting",
  "fine-grained",
  "bias",
  "retrieval",
] as const;

export type EvalKind = (typeof EVAL_KINDS)[number];

/** JSON cannot say NaN or infinity; no figure is near these ends, and all that is made of them stays finite. */
const finite = z.number().min(-1e15).max(1e15);
const count = z.int().nonnegative();
const text = z.string();

/** Columns of one length. */
const isTable = (columns: Readonly<Record<string, readonly unknown[]>>): boolean =>
  new Set(Object.values(columns).map(({ length }) => length)).size === 1;

/** `share` is 0 to 1 and shown in per cent; `score` is a number on a scale of its own. */
const unit = z.enum(["share", "score", "count"]);

const figure = z.readonly(
  z.object({
    /** "top-1", "top-5", "mean per class", "11-point mAP", "ROC AUC", "recall@5 image to text"... */
    name: text,
    value: finite,
    /** Ends of the 95 % bootstrap interval; absent where none can be given. */
    low: z.optional(finite),
    high: z.optional(finite),
    /** What the value is a mean over: pictures, pairs, seeds. */
    samples: count,
    unit,
  }),
);

const pictureReference = z.readonly(
  z.object({
    /** What the source calls it. */
    name: text,
    /** Its number in the source. */
    index: count,
    /** `data:image/png;base64,...`, small, for a page without references. */
    thumbnail: z.optional(text),
  }),
);

/** A text, a picture or both, in a row of examples. */
const exampleItem = z.readonly(
  z.object({
    text: z.optional(text),
    picture: z.optional(pictureReference),
    /** Cosine or probability, as the title of the examples says. */
    score: z.optional(finite),
    /** Whether it is one of the right answers. */
    right: z.optional(z.boolean()),
  }),
);

/** Ready for a table or a plot; all optional, none needed to understand the figures. */
const details = z.readonly(
  z.object({
    classNames: z.optional(z.readonly(z.array(text))),
    /** In the order of `classNames`; classes without pictures have samples 0 and value 0. */
    perClass: z.optional(
      z.readonly(
        z.array(
          z.readonly(z.object({ samples: count, value: finite, low: z.optional(finite), high: z.optional(finite) })),
        ),
      ),
    ),
    /** Entries that are not zero, as columns: `counts[i]` pictures of class `actual[i]` were taken for `predicted[i]`. */
    confusion: z.optional(
      z.readonly(
        z
          .object({
            actual: z.readonly(z.array(count)),
            predicted: z.readonly(z.array(count)),
            counts: z.readonly(z.array(count)),
          })
          .refine(isTable, "expected columns of one length"),
      ),
    ),
    /** Picture by picture, as columns: what intervals, calibration and paired comparisons are made from. */
    predictions: z.optional(
      z.readonly(
        z
          .object({
            /** Numbers of the pictures in the source. */
            index: z.readonly(z.array(count)),
            label: z.readonly(z.array(count)),
            predicted: z.readonly(z.array(count)),
            /** Probability of the predicted class. */
            confidence: z.readonly(z.array(finite)),
          })
          .refine(isTable, "expected columns of one length"),
      ),
    ),
    /** Of the confidences; see `reliability`. */
    calibration: z.optional(
      z.readonly(
        z.object({
          /** Expected calibration error (arXiv 1706.04599, equation 3), and the greatest of the bins' (equation 5); 0 to 1. */
          expectedError: finite,
          greatestError: finite,
          bins: z.readonly(
            z.array(
              z.readonly(
                z.object({
                  /** Of the confidences. */
                  low: finite,
                  high: finite,
                  count,
                  /** Means in the bin. */
                  confidence: finite,
                  accuracy: finite,
                }),
              ),
            ),
          ),
        }),
      ),
    ),
    /** Pictures of which the model was surest and wrong, the surest first. */
    worst: z.optional(
      z.readonly(
        z.array(z.readonly(z.object({ picture: pictureReference, label: text, predicted: text, confidence: finite }))),
      ),
    ),
    /** Pictures for the reader: to a question (a caption, an attacked picture) what was found or answered, the best first. */
    examples: z.optional(
      z.readonly(
        z.array(
          z.readonly(
            z.object({
              title: text,
              rows: z.readonly(
                z.array(z.readonly(z.object({ query: exampleItem, answers: z.readonly(z.array(exampleItem)) }))),
              ),
            }),
          ),
        ),
      ),
    ),
    /** Lines over a common axis: accuracy over k, over the strength of a corruption... */
    curves: z.optional(
      z.readonly(
        z.array(
          z.readonly(
            z.object({
              title: text,
              /** By default a number and no share. */
              x: z.readonly(z.object({ name: text, unit: z.optional(unit), log: z.optional(z.boolean()) })),
              y: z.readonly(z.object({ name: text, unit })),
              /** Both axes as the logit of a share, with y = x: how effective robustness is read. */
              logit: z.optional(z.boolean()),
              lines: z.readonly(
                z.array(
                  z.readonly(
                    z.object({
                      name: text,
                      points: z.readonly(
                        z.array(
                          z.readonly(
                            z.object({
                              x: finite,
                              y: finite,
                              low: z.optional(finite),
                              high: z.optional(finite),
                              /** Of a point in a scatter plot: which data set or seed it is. */
                              label: z.optional(text),
                            }),
                          ),
                        ),
                      ),
                    }),
                  ),
                ),
              ),
            }),
          ),
        ),
      ),
    ),
    tables: z.optional(
      z.readonly(
        z.array(
          z.readonly(
            z.object({
              title: text,
              head: z.readonly(z.array(text)),
              rows: z.readonly(z.array(z.readonly(z.array(z.union([text, finite]))))),
            }),
          ),
        ),
      ),
    ),
    /** Sentences for the reader: what was left out, what a figure does not say. */
    notes: z.optional(z.readonly(z.array(text))),
  }),
);

const result = z.readonly(
  z.object({
    kind: z.enum(EVAL_KINDS),
    /** Name of the task. */
    task: text,
    model: z.readonly(z.object({ name: text, fingerprint: text })),
    data: z.readonly(
      z.object({
        name: text,
        /** Of pictures, labels and class names. */
        hash: text,
        pictures: count,
        /** Pictures that could not be read and are in no figure. */
        unreadable: count,
        classes: count,
      }),
    ),
    /** The first one is what the task is judged by. */
    figures: z.readonly(z.array(figure)),
    /** All that was chosen: templates, hyperparameters and how they were found, `limit`... */
    settings: z.readonly(z.record(text, z.json())),
    seed: count,
    /** Of what computed it: "clip-ts", "node", "onnxruntime"... */
    versions: z.readonly(z.record(text, text)),
    /** Wall clock. */
    seconds: finite,
    details: z.optional(details),
  }),
);

const FORMAT = "clip-ts evaluation 1";
const resultFile = z.object({ format: z.literal(FORMAT), results: z.readonly(z.array(result)) });

export type Figure = z.infer<typeof figure>;
export type ExampleItem = z.infer<typeof exampleItem>;
export type PictureReference = z.infer<typeof pictureReference>;
export type EvalDetails = z.infer<typeof details>;
export type EvalResult = z.infer<typeof result>;

/** A file of results is no longer than this. */
const MAX_BYTES = 1 << 29;

/** @throws what the file system throws; an old file is untouched then */
export async function writeResults(path: string, results: readonly EvalResult[]): Promise<void> {
  await writeFileAtomic(path, new TextEncoder().encode(`${JSON.stringify({ format: FORMAT, results })}\n`));
}

/** @throws one line that names the file and what is wrong with it */
export async function readResults(path: string): Promise<readonly EvalResult[]> {
  return checked(resultFile, await readJson(path, MAX_BYTES), `${path}: is no file of results`).results;
}
