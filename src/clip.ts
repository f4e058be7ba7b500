import { mapAhead } from "./ahead.ts";
import { averaged, dotProduct, meanDirection, normalized, type Prediction, rank, rowsOf } from "./directions.ts";
import type { Engine, HostTensors, StoredTensors } from "./engine/engine.ts";
import {
  createExplainer,
  type Explainer,
  type ExplainMethod,
  methodOf,
  type Region,
  seenRegion,
} from "./explain/index.ts";
import type { HubOptions } from "./hub/index.ts";
import { type DecodedImage, decodeImage, type PreprocessConfig, preprocess, preprocessFile } from "./image/index.ts";
import type { ClipConfig } from "./model/index.ts";
import type { OpenPretrained, PretrainedOptions } from "./pretrained/index.ts";
import type { LongText, Tokenizer } from "./tokenizer/index.ts";
import {
  type Arithmetic,
  createTowers,
  encodedPictures,
  type PictureFeatures,
  storedWeights,
  type Towers,
} from "./towers.ts";

export { dotProduct, meanDirection, NONE_OF_THESE, type Prediction, rank } from "./directions.ts";

/** A picture: a path, the bytes of a JPEG, PNG, WebP, GIF, TIFF or AVIF file, or pixels. */
export type ImageInput = string | Uint8Array | DecodedImage;

export interface LoadOptions extends PretrainedOptions, Arithmetic {
  /** What runs the model; closed by whoever made it. One that is made here is closed with the model. @default onnxruntime on the CPU */
  readonly engine?: Engine | (() => Promise<Engine>);
  /** Threads of the default engine. @default the machine's cores */
  readonly threads?: number;
  /** For models by their name on the hub: cache, offline mode, token, progress. */
  readonly hub?: HubOptions;
  /** What hears of things that no file says and that could be wrong. @default console.warn, once for each */
  readonly warn?: (line: string) => void;
}

export interface EncodeOptions {
  /** Features of length 1, whose dot products are cosine similarities. @default false, as the official code */
  readonly normalize?: boolean;
}

export interface EncodeTextOptions extends EncodeOptions {
  /**
   * Texts longer than the context: an error that says the count; a cut; or the parts one by one (as few as hold the text, about
   * equally long, cut between words), the text's features being the normalised mean of theirs, normalised. @default "error"
   */
  readonly longText?: LongText;
}

export interface ClassifyOptions extends Pick<EncodeTextOptions, "longText"> {
  /** Prompts that are averaged, `{}` being the label. @default those the model was trained with */
  readonly templates?: readonly string[];
  /** Cosine similarity that a label must reach; `NONE_OF_THESE` stands for all that do not. @default no threshold */
  readonly threshold?: number;
}

/** What makes logits of cosines: times the scale, plus the bias if there is one. */
interface Logits {
  readonly scale: number;
  readonly bias: number | undefined;
}

/** One normalised row for each label: [labels, embedDim]. */
export interface Classifier {
  readonly labels: readonly string[];
  readonly templates: readonly string[];
  readonly weights: readonly Float32Array[];
}

export interface ExplainOptions extends Pick<EncodeTextOptions, "longText"> {
  /** Texts that the picture is not to be explained by: what they have in common with the text is taken out. @default none */
  readonly against?: readonly string[];
}

/** What of a picture speaks for a text. */
export interface Explanation {
  /** [height, width], row by row from the top left; 0 or more, on no fixed scale. */
  readonly heat: Float32Array;
  /** Of the heat: patches of a vision transformer, positions of a ResNet's last stage. */
  readonly width: number;
  readonly height: number;
  /** The part of the picture that the heat covers, in its pixels: what preprocessing left of it. */
  readonly region: Region;
  /** Cosine of the picture with the text. */
  readonly similarity: number;
  readonly method: ExplainMethod;
}

/** Pictures, and positions of texts, that are encoded at once at most: larger batches are no faster and take more memory. */
const LARGEST = { pictures: 8, positions: 1024 } as const;

/** A CLIP model, ready to use. */
export class CLIP {
  readonly #model: OpenPretrained;
  readonly #logits: Logits;
  readonly #fingerprint: string;
  readonly #engine: Engine;
  readonly #ownsEngine: boolean;
  readonly #weights: StoredTensors;
  readonly #towers: Towers;
  #explainer: Explainer | undefined;
  readonly #classifiers = new Map<string, Promise<Classifier>>();

  private constructor(
    model: OpenPretrained,
    logits: Logits,
    engine: Engine,
    ownsEngine: boolean,
    arithmetic: Arithmetic,
  ) {
    this.#logits = logits;
    this.#model = model;
    this.#engine = engine;
    this.#ownsEngine = ownsEngine;
    const { config, fingerprint } = model;
    const { quantize, precision } = arithmetic;
    const narrow = [quantize ?? "float32", precision ?? "float32"].filter((kind) => kind !== "float32");
    this.#fingerprint = [fingerprint, ...narrow].join("-");
    this.#weights = storedWeights(model);
    this.#towers = createTowers(engine, config, this.#weights, model.preprocess, arithmetic);
  }

  /**
   * Loads a model: a training run (its latest checkpoint), a folder of open_clip or Hugging Face, or a file: OpenAI's TorchScript
   * archives, PyTorch checkpoints, safetensors. What no file says and could be wrong is warned of.
   * @param name a path, or a model on the hub: `org/name`, `org/name@revision`, `hf-hub:org/name`, `ViT-B/32`
   * @throws one line that names the file and what is wrong with it
   */
  static async load(name: string, options: LoadOptions = {}): Promise<CLIP> {
    const { engine, threads, hub, quantize, precision, warn = warnOnce, ...own } = options;
    const { modelPath } = await import("./hub/index.ts");
    const { openPretrained } = await import("./pretrained/index.ts");
    const model = await openPretrained(await modelPath(name, hub), own);
    const uncertain = model.guesses.filter((guess) => guess.uncertain).map(({ what, why }) => `${what}: ${why}`);
    if (uncertain.length > 0) warn(`${name}: ${uncertain.join("; ")}`);
    const arithmetic = { ...(quantize && { quantize }), ...(precision && { precision }) };
    try {
      const { logit_scale: scale, logit_bias: bias } = await model.readWeights((weight) => weight.startsWith("logit_"));
      const logits = { scale: Math.exp(scale?.data[0] ?? 0), bias: bias?.data[0] };
      if (typeof engine === "function") return new CLIP(model, logits, await engine(), true, arithmetic);
      if (engine) return new CLIP(model, logits, engine, false, arithmetic);
      const { createOnnxEngine } = await import("./engine/onnx/onnx-engine.ts");
      const made = await createOnnxEngine(threads === undefined ? {} : { threads });
      return new CLIP(model, logits, made, true, arithmetic);
    } catch (error) {
      await model.close();
      throw error;
    }
  }

  get config(): ClipConfig {
    return this.#model.config;
  }

  /** How pictures become the model's input. */
  get preprocess(): PreprocessConfig {
    return this.#model.preprocess;
  }

  /** @throws one line if the model came without one and does not have the official vocabulary */
  get tokenizer(): Tokenizer {
    const { tokenizer, tokenizerFrom } = this.#model;
    if (!tokenizer)
      throw new Error(`this model has no tokenizer (${tokenizerFrom}): give one with the option tokenizer`);
    return tokenizer;
  }

  /** Prompts that read like the captions of the training. */
  get templates(): readonly string[] {
    return this.#model.templates;
  }

  /** Parameters and running statistics by published name; all by default. */
  readWeights(wanted?: (name: string) => boolean): Promise<HostTensors> {
    return this.#model.readWeights(wanted);
  }

  /** What it computes with: for programs of one's own beside it, which are closed before it. */
  get engine(): Engine {
    return this.#engine;
  }

  /** Differs between checkpoints: what is kept of a model's results is kept by it. */
  get fingerprint(): string {
    return this.#fingerprint;
  }

  /** What cosines are multiplied by before the softmax: the exponential of the learned parameter. */
  get logitScale(): number {
    return this.#logits.scale;
  }

  /** What is added before the sigmoid; undefined where probabilities are softmaxes. */
  get logitBias(): number | undefined {
    return this.#logits.bias;
  }

  /**
   * Features of pictures, one row of `embedDim` numbers each; pictures are resized and cropped as the official code does.
   * @throws one line that names the picture if one cannot be read
   */
  encodeImage(image: ImageInput, options?: EncodeOptions): Promise<Float32Array>;
  encodeImage(images: readonly ImageInput[], options?: EncodeOptions): Promise<Float32Array[]>;
  async encodeImage(
    images: ImageInput | readonly ImageInput[],
    options: EncodeOptions = {},
  ): Promise<Float32Array | Float32Array[]> {
    if (!isList(images)) return only(await this.encodeImage([images], options));
    const rows: Float32Array[] = [];
    for await (const row of this.encodeImages(images, options)) rows.push(row);
    return rows;
  }

  /**
   * Features of a sequence of pictures of any length, in its order: while some are encoded, the next ones are decoded and resized, and
   * no more are taken from the sequence than that. What a picture's row is does not depend on the others beyond rounding (1e-6).
   * @throws as encodeImage, at the picture's place
   */
  async *encodeImages(
    images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
    { normalize = false }: EncodeOptions = {},
  ): AsyncGenerator<Float32Array> {
    for await (const found of this.imageFeatures(images)) {
      if (found instanceof Error) throw found;
      yield normalize ? normalized(found.features) : found.features;
    }
  }

  /**
   * As `encodeImages`, with the features before the projection too, which linear probes learn from; a picture that cannot be read has
   * an error in its place, of one line that names it, and so has an error that is given in place of a picture.
   */
  async *imageFeatures(
    images: Iterable<ImageInput | Error> | AsyncIterable<ImageInput | Error>,
  ): AsyncGenerator<PictureFeatures | Error> {
    const pixels = mapAhead(images, LARGEST.pictures, (image) =>
      image instanceof Error ? Promise.resolve(image) : this.#pixels(image).catch(asError),
    );
    yield* encodedPictures(this.#towers, pixels, LARGEST.pictures);
  }

  /**
   * Features of texts, one row of `embedDim` numbers each.
   * @throws one line with the text and its count of tokens if it is longer than the context and `longText` does not say what to do
   */
  encodeText(text: string, options?: EncodeTextOptions): Promise<Float32Array>;
  encodeText(texts: readonly string[], options?: EncodeTextOptions): Promise<Float32Array[]>;
  async encodeText(
    texts: string | readonly string[],
    options: EncodeTextOptions = {},
  ): Promise<Float32Array | Float32Array[]> {
    if (typeof texts === "string") return only(await this.encodeText([texts], options));
    const { text, embedDim } = this.#model.config;
    const { contextLength } = text;
    const { longText = "error" } = options;
    const { ids, lengths, owners } = this.tokenizer.tokenize(texts, { contextLength, longText });
    // Short texts together: the text tower runs as far as the longest of a batch.
    const order = [...lengths.keys()].sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0));
    const rows = new Array<Float32Array>(lengths.length); // more than texts, where long ones are chunked
    const { shortens } = this.#towers;
    const longest = (end: number): number => (shortens ? (lengths[order[end - 1] ?? 0] ?? 0) : contextLength);
    for (let start = 0; start < rows.length; ) {
      let end = start + 1;
      while (end < rows.length && (end + 1 - start) * longest(end + 1) <= LARGEST.positions) end++;
      const [count, length] = [end - start, longest(end)];
      const tokens = new Int32Array(count * length);
      for (let i = 0; i < count; i++) {
        const from = (order[start + i] ?? 0) * contextLength;
        tokens.set(ids.subarray(from, from + length), i * length);
      }
      const features = await this.#towers.encodeTexts(tokens, count, length);
      for (const [i, row] of rowsOf(features, embedDim).entries()) rows[order[start + i] ?? 0] = row;
      start = end;
    }
    const whole = rows.length === texts.length ? rows : averaged(rows, owners);
    return options.normalize ? whole.map(normalized) : whole;
  }

  /**
   * Labels by how well they fit a picture, the best first. With a threshold the list has `NONE_OF_THESE` too, as a label
   * whose similarity is the threshold: it comes first if nothing fits better, and the probabilities count it in.
   * @throws one line if there are no labels or a template lacks `{}`
   */
  async classify(
    image: ImageInput,
    labels: readonly string[],
    { templates = this.templates, threshold, longText }: ClassifyOptions = {},
  ): Promise<Prediction[]> {
    const { weights } = await this.classifier(labels, templates, longText);
    const features = await this.encodeImage(image, { normalize: true });
    return rank(features, labels, weights, this.logitScale, threshold, this.logitBias);
  }

  /**
   * One row for each label: every template is embedded and normalised, their mean normalised again (CLIP, section 3.1.4).
   * Computed once for the same labels and templates.
   */
  classifier(
    labels: readonly string[],
    templates: readonly string[] = this.templates,
    longText: LongText = "error",
  ): Promise<Classifier> {
    const key = JSON.stringify([labels, templates, longText]);
    const known = this.#classifiers.get(key);
    if (known) return known;
    const made = this.#makeClassifier(labels, templates, longText);
    made.catch(() => this.#classifiers.delete(key));
    this.#classifiers.set(key, made);
    return made;
  }

  async #makeClassifier(
    labels: readonly string[],
    templates: readonly string[],
    longText: LongText,
  ): Promise<Classifier> {
    if (labels.length === 0) throw new Error("classify: expected at least one label, got none");
    if (templates.length === 0) throw new Error("classify: expected at least one template, got none");
    for (const template of templates)
      if (!template.includes("{}"))
        throw new Error(`classify: template ${JSON.stringify(template)} has no {} where the label goes`);
    const prompts = labels.flatMap((label) => templates.map((template) => template.replaceAll("{}", () => label)));
    const rows = await this.encodeText(prompts, { normalize: true, longText });
    const weights = labels.map((_, i) => meanDirection(rows.slice(i * templates.length, (i + 1) * templates.length)));
    return { labels, templates, weights };
  }

  /**
   * A heat map of what of a picture raises its similarity with a text: for vision transformers the relevance of Chefer et al. 2021
   * (arXiv 2103.15679), gradient-weighted attention through all blocks; for ResNets Grad-CAM (arXiv 1610.02391) on the last stage.
   * @throws one line if the picture cannot be read or the text is too long
   */
  async explain(
    image: ImageInput,
    text: string,
    { against = [], longText = "error" }: ExplainOptions = {},
  ): Promise<Explanation> {
    const { config, preprocess: transform } = this.#model;
    const isFile = typeof image === "string" || image instanceof Uint8Array;
    const picture = isFile ? await decodeImage(image) : image;
    const [own, ...others] = await this.encodeText([text, ...against], { normalize: true, longText });
    if (!own) throw new Error("explain: expected a text, got none");
    // The score is a logit, as in the paper's code: the temperature weighs the blocks' products against each other.
    const scale = this.logitScale;
    const mean = (i: number): number =>
      others.reduce((sum, row) => sum + (row[i] ?? 0), 0) / Math.max(1, others.length);
    const direction = own.map((value, i) => scale * (value - mean(i)));
    this.#explainer ??= createExplainer(this.#engine, config, this.#weights, transform);
    const found = await this.#explainer.explain(preprocess(picture, transform).data, direction);
    return {
      ...{ heat: found.heat, width: found.columns, height: found.rows },
      region: seenRegion(picture, transform),
      similarity: dotProduct(found.features, own),
      method: methodOf(config),
    };
  }

  /** Lets go of the compiled programs, and of the engine if it was not given. */
  async close(): Promise<void> {
    await this.#towers.close();
    await this.#explainer?.close();
    await this.#model.close();
    if (this.#ownsEngine) await this.#engine.close();
  }

  async #pixels(image: ImageInput | undefined): Promise<Uint8Array> {
    if (image === undefined) throw new Error("encodeImage: expected a picture, got undefined");
    const isFile = typeof image === "string" || image instanceof Uint8Array;
    const { preprocess: config } = this.#model;
    return (isFile ? await preprocessFile(image, config) : preprocess(image, config)).data;
  }
}

function isList(images: ImageInput | readonly ImageInput[]): images is readonly ImageInput[] {
  return Array.isArray(images);
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

const warned = new Set<string>();

function warnOnce(line: string): void {
  if (!warned.has(line)) console.warn(line);
  warned.add(line);
}

function only<T>(list: readonly T[]): T {
  const [first] = list;
  if (first === undefined) throw new Error("expected one row, got none");
  return first;
}
