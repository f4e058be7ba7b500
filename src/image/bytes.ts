/** Little-endian reading that never passes the end. */
export class Bytes {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get position(): number {
    return this.#at;
  }

  /** @throws if fewer than `count` bytes are left */
  need(count: number): void {
    const left = this.#bytes.length - this.#at;
    if (count > left) throw new Error(`the file is truncated: ${count} bytes expected at ${this.#at}, got ${left}`);
  }

  u8(): number {
    this.need(1);
    return this.#bytes[this.#at++] ?? 0;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  u32(): number {
    return this.u16() + this.u16() * 0x10000;
  }

  i32(): number {
    return this.u32() | 0;
  }

  skip(count: number): void {
    this.need(count);
    this.#at += count;
  }

  /** A view, no copy. */
  take(count: number): Uint8Array {
    this.need(count);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** Up to `count` bytes: fewer at the end. */
  upTo(count: number): Uint8Array {
    return this.take(Math.min(count, this.#bytes.length - this.#at));
  }
}
