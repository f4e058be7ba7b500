import { htmlEntityTable } from "./html-entity-table.ts";
import { windows1252Character } from "./legacy-encodings.ts";

interface EntityTables {
  /** What `html.unescape` of Python knows: `amp;` and, for the old ones, `amp`. */
  readonly lenient: ReadonlyMap<string, string>;
  /** What ftfy knows: only with semicolon, but also names shouted in capitals (`&NTILDE;`). */
  readonly strict: ReadonlyMap<string, string>;
}

let tables: EntityTables | undefined;

/** Built at the first text with an ampersand: most programs never need it. */
function entityTables(): EntityTables {
  if (tables !== undefined) return tables;
  const lenient = new Map<string, string>();
  for (const [, name = "", old, hex = ""] of htmlEntityTable.matchAll(/(\w+)(!?)=(\S+)/g)) {
    const text = String.fromCodePoint(...hex.split("+").map((digits) => Number.parseInt(digits, 16)));
    lenient.set(`${name};`, text);
    if (old) lenient.set(name, text);
  }
  const strict = new Map<string, string>();
  for (const [name, text] of lenient) if (name.endsWith(";")) strict.set(name, text);
  for (const [name, text] of [...strict]) {
    const shouted = name.toUpperCase();
    if (name === name.toLowerCase() && unescapeNamed(shouted, lenient) === undefined) {
      strict.set(shouted, text.toUpperCase());
    }
  }
  tables = { lenient, strict };
  return tables;
}

/** Python's `html.unescape`: the longest known name wins, with or without a semicolon. */
export function unescapeHtml(text: string): string {
  if (!text.includes("&")) return text;
  const { lenient } = entityTables();
  return text.replace(/&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu, (whole, name: string) =>
    name.startsWith("#") ? unescapeNumber(name) : (unescapeNamed(name, lenient) ?? whole),
  );
}

/** ftfy's more careful kind: nothing without its semicolon. */
export function unescapeHtmlStrictly(text: string): string {
  if (!text.includes("&")) return text;
  const { strict } = entityTables();
  return text.replace(/&(#?[0-9A-Za-z]{1,24};)/g, (whole, name: string) => {
    if (!name.startsWith("#")) return strict.get(name) ?? whole;
    const unescaped = unescapeHtml(whole);
    return unescaped.includes(";") ? whole : unescaped;
  });
}

function unescapeNamed(name: string, known: ReadonlyMap<string, string>): string | undefined {
  for (let length = name.length; length > 1; length--) {
    const text = known.get(name.slice(0, length));
    if (text !== undefined) return text + name.slice(length);
  }
  return undefined;
}

function unescapeNumber(reference: string): string {
  const isHex = /^#x/i.test(reference);
  const code = Number.parseInt(reference.slice(isHex ? 2 : 1), isHex ? 16 : 10);
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return "\ufffd";
  // as browsers do, and the HTML standard after them
  if (code >= 0x80 && code <= 0x9f) return windows1252Character(code);
  const isWhiteSpace = code === 0x09 || code === 0x0a || code === 0x0c || code === 0x0d;
  const isControl = (code < 0x20 && !isWhiteSpace) || code === 0x7f;
  const isNonCharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  return isControl || isNonCharacter ? "" : String.fromCodePoint(code);
}
