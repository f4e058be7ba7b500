/** An 8-bit encoding; ASCII stands for itself in all of them. */
export interface LegacyEncoding {
  readonly name: string;
  /** One that gives every byte a character, with U+FFFD at 0x1A for what an earlier program could not decode. */
  readonly isSloppy: boolean;
  /** The characters of bytes 0x80 to 0xFF. */
  readonly high: string;
  /** The bytes of `text`, one character U+0000 to U+00FF a byte, or `undefined` if it has a character of no byte. */
  encode(text: string): string | undefined;
}

const codePage437 =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
  "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

/** Own, because Node 20 to 23 decode Windows-1252 as Latin-1. */
const windows1252C1 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

/** The character that Windows-1252 has for a byte from 0x80 to 0x9F. */
export function windows1252Character(byte: number): string {
  return windows1252C1.charAt(byte - 0x80);
}

const highBytes = Uint8Array.from({ length: 128 }, (_, i) => 128 + i);
const latin1 = String.fromCharCode(...highBytes);

/** The platform's table, where bytes without a character stand for the control characters of Latin-1. */
function platformTable(label: string): string {
  const decoded = new TextDecoder(label).decode(highBytes);
  return Array.from(latin1, (asLatin1, i) => (decoded[i] === "\ufffd" ? asLatin1 : decoded[i])).join("");
}

function legacyEncoding(name: string, high: string, isSloppy: boolean): LegacyEncoding {
  const byteOf = new Map(Array.from(high, (character, i) => [character, String.fromCharCode(128 + i)]));
  if (isSloppy) {
    byteOf.set("\ufffd", "\x1a");
    byteOf.delete("\x1a");
  }
  return {
    name,
    isSloppy,
    high,
    encode(text) {
      let bytes = "";
      for (let i = 0; i < text.length; i++) {
        const character = text.charAt(i);
        const isAscii = character < "\x80" && !(isSloppy && character === "\x1a");
        const byte = isAscii ? character : byteOf.get(character);
        if (byte === undefined) return undefined;
        bytes += byte;
      }
      return bytes;
    },
  };
}

let encodings: readonly LegacyEncoding[] | undefined;

/** Those that UTF-8 is often mistaken for, the likelier ones first; built at the first suspicious text. */
export function legacyEncodings(): readonly LegacyEncoding[] {
  encodings ??= [
    legacyEncoding("latin1", latin1, false),
    legacyEncoding("windows-1252", windows1252C1 + latin1.slice(32), true),
    ...["windows-1251", "windows-1250", "windows-1253", "windows-1254", "windows-1257"].map((name) =>
      legacyEncoding(name, platformTable(name), true),
    ),
    legacyEncoding("iso-8859-2", platformTable("iso-8859-2"), false),
    legacyEncoding("macintosh", platformTable("macintosh"), false),
    legacyEncoding("cp437", codePage437, false),
  ];
  return encodings;
}
