/**
 * The byte alphabet of CLIP's vocabulary (the one of GPT-2): every byte is shown as one printable character, so that
 * merges can be kept in a text file. Bytes that print stand for themselves and come first; the other 68 follow as
 * U+0100, U+0101, ... The position in that order is the token id of the byte.
 */
export const endOfWord = "</w>";

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

const everyByte = Array.from({ length: 256 }, (_, byte) => byte);
const bytesInIdOrder = [
  ...everyByte.filter((byte) => isPrintable(byte)),
  ...everyByte.filter((byte) => !isPrintable(byte)),
];
const printableCount = everyByte.filter(isPrintable).length;

/** The 256 characters of the alphabet, in id order. */
export const byteCharacters: readonly string[] = bytesInIdOrder.map((byte, id) =>
  String.fromCharCode(id < printableCount ? byte : 256 + id - printableCount),
);

/** `byteIds[byte]` is the token id of a byte inside a word; plus 256 at the end of a word. */
export const byteIds: Uint16Array = new Uint16Array(256);
for (const [id, byte] of bytesInIdOrder.entries()) byteIds[byte] = id;

const byteOfCharacter = new Map(byteCharacters.map((character, id) => [character, bytesInIdOrder[id] ?? 0]));

/** The bytes that a token's characters stand for, or `undefined` if one is not of the alphabet. */
export function bytesOfToken(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token.charAt(i));
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
