import sax from "sax";

/** What a drawing says of itself. */
export interface SvgRecord {
  readonly title: string;
  /** Lower case, each once, without the title. */
  readonly tags: readonly string[];
}

const MAX_TITLE = 200;
const MAX_TAG = 60;
const MAX_TAGS = 50;
/** Deeper elements are of no record. */
const MAX_DEPTH = 64;

/** Titles that say nothing. */
const EMPTY = /^(untitled|unnamed|no ?name|title|drawing|image|picture|clip ?art|new document|svg)\b[\s\d.]*$/i;

/**
 * Title and tags from the metadata of an SVG (Dublin Core in RDF, as Inkscape and Open Clip Art write it), or its own `title`.
 * Streamed, so that a file that is cut off or broken behind them does not matter; no entity that the file declares is expanded.
 * @returns nothing if there is no title, or none that says something
 */
export function readSvgRecord(bytes: Uint8Array): SvgRecord | undefined {
  // Of the parsers that are kept, the one that streams and leaves a document's own entities alone.
  const parser = sax.parser(false, { lowercase: true, normalize: true, trim: true });
  const path: string[] = [];
  const titles: { own?: string; drawing?: string } = {};
  const tags = new Set<string>();
  let text = "";
  let done = false;
  parser.onopentag = ({ name }) => {
    path.push(name.slice(name.indexOf(":") + 1));
    text = "";
    if (path.length > MAX_DEPTH) done = true;
  };
  parser.ontext = (part) => {
    if (text.length <= MAX_TITLE) text += part.slice(0, MAX_TITLE + 1);
  };
  parser.onclosetag = () => {
    const [parent = "", name = ""] = path.slice(-2);
    if (name === "title" && parent === "work" && text !== "") titles.own ??= text;
    if (name === "title" && parent === "svg" && text !== "") titles.drawing ??= text;
    if (name === "li" && path.at(-4) === "work" && path.at(-3) === "subject" && tags.size < MAX_TAGS) {
      const tag = clean(text).toLowerCase();
      if (tag.length > 0 && tag.length <= MAX_TAG) tags.add(tag);
    }
    if (name === "rdf") done = true;
    path.pop();
    text = "";
  };
  parser.onerror = () => {
    parser.resume(); // what is broken is passed over
  };
  // In pieces, so that nothing behind the record is parsed.
  const decoder = new TextDecoder();
  for (let at = 0; at < bytes.length && !done; at += 4096)
    parser.write(decoder.decode(bytes.subarray(at, at + 4096), { stream: true }));
  const title = clean(titles.own ?? titles.drawing ?? "");
  if (title.length > MAX_TITLE || !/\p{L}{2}/u.test(title) || title.includes("\ufffd") || EMPTY.test(title))
    return undefined;
  tags.delete(title.toLowerCase());
  return { title, tags: [...tags] };
}

/** Words instead of file names: "baby_tux.svg" is "baby tux". */
const clean = (text: string): string =>
  text
    .replace(/\.svgz?$/i, "")
    .replace(/[\s_]+/g, " ")
    .trim();
