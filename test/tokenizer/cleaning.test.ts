import { expect, test } from "vitest";
import { unescapeHtml, unescapeHtmlStrictly } from "../../src/tokenizer/html-entities.ts";
import { cleanText } from "../../src/tokenizer/index.ts";
import { fixEncoding } from "../../src/tokenizer/mojibake.ts";
import { looksLikeMojibake } from "../../src/tokenizer/mojibake-signs.ts";
import { golden } from "./golden.ts";

interface EntityTables {
  readonly html5: Readonly<Record<string, string>>;
  readonly invalid_charrefs: Readonly<Record<string, string>>;
  readonly invalid_codepoints: readonly number[];
}

test("html entities: Python's tables, name by name and number by number", () => {
  const tables = golden<EntityTables>("html5_entities.json.gz");
  const names = Object.entries(tables.html5);
  expect(names.length).toBe(2231);
  for (const [name, text] of names) expect(unescapeHtml(`&${name}`), name).toBe(text);
  for (const [code, text] of Object.entries(tables.invalid_charrefs)) expect(unescapeHtml(`&#${code};`)).toBe(text);
  for (const code of tables.invalid_codepoints) {
    if (!(code in tables.invalid_charrefs)) expect(unescapeHtml(`&#x${code.toString(16)}`), `${code}`).toBe("");
  }
});

test("html entities: longest known name, numbers without an end, what is none stays", () => {
  expect(unescapeHtml("&notit; &notin; &ampx &; &#; &#x; &nosuch;")).toBe("¬it; ∉ &x &; &#; &#x; &nosuch;");
  expect(unescapeHtml("&#xD800;&#99999999999999999999999;&#x110000;&#65a")).toBe("\ufffd\ufffd\ufffdAa");
  expect(unescapeHtmlStrictly("&amp &NTILDE; &AMP; &#39; &#39 &eacute; &HearT;")).toBe("&amp Ñ & ' &#39 é &HearT;");
});

/** What a program makes that reads UTF-8 as Windows-1252; only for bytes where that is Latin-1. */
function misread(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

test("mojibake: undone once, several times over, and in a part of a text", () => {
  expect(fixEncoding("cafÃ© au lait")).toBe("café au lait");
  expect(fixEncoding(misread(misread(misread("naïve"))))).toBe("naïve");
  expect(fixEncoding("日本 and voilÃ  le sÃ©jour")).toContain("séjour");
  expect(fixEncoding("it’s a “quote” – and â€œanotherâ€\x9d")).toBe("it’s a “quote” – and “another”");
});

test("mojibake: ftfy takes a last line feed for the byte it misses at the end", () => {
  expect(fixEncoding("ß‹À\n")).toBe("\u07cb\0");
  expect(fixEncoding("ß‹Àx\n")).toBe("ß‹Àx\n");
  expect(fixEncoding("\xed\xa0\xbd\xed\xb8\n")).toBe("\u{1f60a}");
});

test("mojibake: real text in many scripts is left alone", () => {
  for (const text of [
    "Ærøskøbing",
    "Ça va à Paris",
    "ΕΛΛΗΝΙΚΑ",
    "Привет, мир",
    "100 €",
    "20°C",
    "œuvre",
    "日本語",
    "¿Qué?",
  ]) {
    expect(looksLikeMojibake(text), text).toBe(false);
    expect(fixEncoding(text)).toBe(text);
  }
});

test("cleaning: Python's white space, not JavaScript's", () => {
  expect(cleanText("\u2003a&#x2028;\u3000 b&nbsp;")).toBe("a b");
  expect(cleanText("a\u200bb")).toBe("a\u200bb");
  expect(cleanText("  A  Photo\tof\r\na DOG \n")).toBe("a photo of a dog");
  expect(cleanText("ΟΔΟΣ ΣΟΦΟΣ")).toBe("οδος σοφος");
});

test("cleaning: entities stay until the last step once a line has a <", () => {
  expect(cleanText("&eacute;&#8217;")).toBe("é'"); // by ftfy, which then uncurls the quote
  expect(cleanText("<b>&#8217;")).toBe("<b>’"); // by html.unescape, after the quotes were seen to
  expect(cleanText("<b>\n&#8217;")).toBe("<b> ’");
});

test("cleaning: a megabyte of anything stays quick", () => {
  const started = process.cpuUsage();
  for (const piece of ["&", "&amp;amp;", "Ã", "Ã ", "\x1b[", "<", "\u2028", "áé ", "&#x", "\ud800", " ", "\xa0"]) {
    cleanText(piece.repeat(2 ** 18 / piece.length));
    cleanText(`é${piece.repeat(2 ** 18 / piece.length)}b`);
  }
  expect(process.cpuUsage(started).user).toBeLessThan(20e6); // microseconds, whatever else the machine does
});
