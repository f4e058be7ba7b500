/*
 * Which sequences of characters hardly occur in real text but do where UTF-8 was read as an 8-bit encoding. The classes
 * and sequences are the judgement of ftfy 6.3 (Robyn Speer, Apache License 2.0), which the published models' texts went
 * through, so that what is repaired here is what was repaired there.
 */

const common = "\\xa0\\xad\\xb4\\xb7\\u2013-\\u2015\\u2019\\u2026";
const control = "\\x80-\\x9f";
const rare = "¤¦¨ª¬¯¸ºƒˆˇ˘˛˜†‡‰⌐◊\\ufffd";
const law = "§¶";
const currency = "¢£¥₧€";
const opening = "¡«¿©\\u0384\\u0385\\u2018\\u201a“„•‹\\uf8ff";
const closing = "®»˝”›™";
const numeric = "±²³µ¹¼-¾×÷⁄№∂∆∏∑√∞∩∫≈≠≡≤≥";
/** Letters that often are faces rather than letters. */
const facial = "°Ò-ÖÙ-ÜòóôõöøùúûüŌŐŪŲ";
const accentedUpper = "À-ÑØÜÝĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶĹĻĽŁŃŅŇŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const accentedLower = "ß-ñüāăąćčďđēėęěğģīįķĺļľłœŕśşšťźżžґﬁﬂ";
const upper = "ÞΆΈ-ΊΌΎΏΑ-ΡΣ-ΫЁ-Я";
const lower = "ά-ωа-џ";
const box = "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓";
const accented = accentedLower + accentedUpper;
const word = "[\\p{L}\\p{N}_]";
const space = "[\\p{White_Space}\\x1c-\\x1f]";

/** Any one of these in a text makes it suspicious. */
const signs = [
  `[${control}]`,

  // two characters of classes that do not follow each other
  `[${rare}${accented}${box}${opening}${closing}${currency}${numeric}${law}][${rare}]`,
  `[a-zA-Z][${lower}${upper}][${rare}]`,
  `[${rare}][${accented}${box}${opening}${closing}${currency}${numeric}${law}]`,
  `[${accentedLower}${lower}${box}${closing}${currency}${numeric}][${accentedUpper}]`,
  `[${box}${closing}${currency}${numeric}][${accentedLower}]`,
  `[${accentedLower}${box}${closing}][${currency}]`,
  `${space}[${accentedUpper}][${currency}]`,
  `[${accentedUpper}${box}][${numeric}${law}]`,
  `[${accented}${box}${currency}${closing}][${opening}][${numeric}]`,
  `[${accented}${currency}${numeric}${box}${law}][${closing}][${opening}]`,
  `[${currency}${numeric}${box}][${opening}]`,
  `[a-z][${accentedUpper}][${opening}${currency}]`,
  `[${box}][${facial}]`,
  `[${accented}${currency}${numeric}${opening}${closing}${law}][${box}]`,
  `[${box}][${closing}]`,
  `[${accented}][${opening}${closing}]${word}`,
  "[Œœ][^A-Za-z]",
  `[${accentedUpper}]°`,

  // Windows-1252
  `[ÂÃÎÐ][€œŠš¢£Ÿž\\xa0\\xad®©°·»${opening}${closing}–—´]`,
  "×[²³]",
  `[ØÙ][${common}${currency}${rare}${numeric}${opening}ŸŠ®°µ»][ØÙ][${common}${currency}${rare}${numeric}${opening}ŸŠ®°µ»]`,
  "à[²µ¹¼½¾]",
  "Ã[\\xa0¡]",
  `[a-z]${space}?[ÃÂ] `,
  "^[ÃÂ] ",
  `[a-z.,?!${closing}]Â[ ${opening}${closing}]`,

  // Mac Roman
  "√[±∂†≠®™´≤≥¥µø]",
  "≈[°¢]",
  "‚Ä[ìîïòôúùû†°¢π]",
  "‚[âó][àä°ê]",

  // Windows-1251
  "вЂ",
  `[ВГРС][${control}${rare}${opening}${closing}${currency}°µ][ВГРС]`,
  "ГўВЂВ[^\\n][A-Za-z ]",

  // Windows-1253
  "β€[™\\xa0Ά\\xad®°]",
  `[ΒΓΞΟ][${control}${rare}${opening}${closing}${currency}°][ΒΓΞΟ]`,

  // Windows-1257
  "ā€",
];

const anySign = new RegExp(signs.join("|"), "u");

/** Whether a text looks like UTF-8 that was decoded as something else. */
export function looksLikeMojibake(text: string): boolean {
  return anySign.test(text);
}
