/**
 * Baseline JPEG from the entropy-coded data to the components' planes; `src/image/jpeg.ts` reads the headers, builds the
 * tables and lays out the memory.
 */
import { clear, flat, inverseDct } from "./dct";

/** Words of a component's description. */
const H: usize = 0;
const V: usize = 4;
const QUANT: usize = 8;
const DC: usize = 12;
const AC: usize = 16;
const PLANE: usize = 20;
const STRIDE: usize = 24;
const COMPONENT: usize = 28;

const LOOK: i32 = 10;

/**
 * Copies entropy-coded data without its stuffed zeros, bytes reversed within words so that a word's first bit is the
 * highest. Each restart begins at a new word; its offset goes to `segments`.
 * @returns the number of segments, or -1 if there are more than `most`
 */
export function unstuff(source: usize, length: i32, out: usize, segments: usize, most: i32): i32 {
  const end = source + <usize>length;
  let n = 1;
  let o: usize = 0;
  store<i32>(segments, 0);
  while (source < end) {
    const byte = load<u8>(source++);
    if (byte == 0xff) {
      let next: u8 = 0xff;
      while (source < end && next == 0xff) next = load<u8>(source++);
      if (next >= 0xd0 && next <= 0xd7) {
        while (o & 3) store<u8>(out + (o++ ^ 3), 0);
        store<u64>(out + o, 0);
        o += 8;
        if (n == most) return -1;
        store<i32>(segments + ((<usize>n) << 2), <i32>o);
        n++;
        continue;
      }
      if (next != 0) break;
    }
    store<u8>(out + (o++ ^ 3), byte);
  }
  while (o & 3) store<u8>(out + (o++ ^ 3), 0);
  store<u64>(out + o, 0);
  store<u64>(out + o, 0, 8);
  store<i32>(segments + ((<usize>n) << 2), <i32>o + 8);
  return n;
}

// The bit reader between blocks; within one it is in local variables.
let heldBits: u64 = 0;
let heldCount: i32 = 0;
let nextWord: usize = 0;

/** The number that `size` bits stand for. */
function extended(value: i32, size: i32): i32 {
  return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/**
 * A code longer than the table looks ahead, by the largest code and the offset of each length, which lie behind the table.
 * @returns symbol << 8 | length, or -1
 */
function longCode(table: usize, code: i32): i32 {
  const rest = table + (4 << LOOK);
  for (let length = LOOK + 1; length <= 16; length++) {
    const prefix = code >> (16 - length);
    if (prefix <= load<i32>(rest + ((<usize>length) << 3))) {
      const symbol = load<u8>(rest + 17 * 8 + <usize>((prefix + load<i32>(rest + ((<usize>length) << 3), 4)) & 255));
      return ((<i32>symbol) << 8) | length;
    }
  }
  return -1;
}

let predicted: i32 = 0;

/**
 * Coefficients of a block, not yet dequantised, in natural order; the block was zero before. `predicted` goes from the last
 * block's first coefficient to this one's.
 * @returns the last coefficient's place in zigzag order, or -1 on a code that is not defined
 */
function decodeBlock(block: usize, dcTable: usize, acTable: usize, zigzag: usize): i32 {
  let bits = heldBits;
  let count = heldCount;
  let next = nextWord;
  if (count <= 32) {
    bits |= (<u64>load<u32>(next)) << (32 - count);
    next += 4;
    count += 32;
  }
  // Entries: symbol << 8 | 0x80 | length; of coefficients whose value fits too, value << 16 | run << 8 | length of both; or 0.
  let entry = load<i32>(dcTable + ((<usize>(bits >> (64 - LOOK))) << 2));
  if (entry == 0) {
    entry = longCode(dcTable, <i32>(bits >> 48));
    if (entry < 0) return -1;
  }
  bits <<= entry & 0x7f;
  count -= entry & 0x7f;
  let size = entry >> 8;
  if (size > 15) return -1;
  if (size > 0) {
    predicted += extended(<i32>(bits >> (64 - size)), size);
    bits <<= size;
    count -= size;
  }
  store<i16>(block, <i16>predicted);

  let last = 0;
  for (let k = 1; k < 64; k++) {
    if (count <= 32) {
      bits |= (<u64>load<u32>(next)) << (32 - count);
      next += 4;
      count += 32;
    }
    entry = load<i32>(acTable + ((<usize>(bits >> (64 - LOOK))) << 2));
    if (entry == 0) {
      entry = longCode(acTable, <i32>(bits >> 48));
      if (entry < 0) return -1;
      entry |= 0x80;
    }
    bits <<= entry & 0x7f;
    count -= entry & 0x7f;
    if ((entry & 0x80) == 0) {
      k += (entry >> 8) & 15;
      if (k > 63) return -1;
      store<i16>(block + <usize>load<u8>(zigzag + k), <i16>(entry >> 16));
      last = k;
      continue;
    }
    size = (entry >> 8) & 15;
    const run = (entry >> 12) & 15;
    if (size == 0) {
      if (run != 15) break;
      k += 15;
      continue;
    }
    k += run;
    if (k > 63) return -1;
    // At most 16 bits of code are gone of 33 or more.
    store<i16>(block + <usize>load<u8>(zigzag + k), <i16>extended(<i32>(bits >> (64 - size)), size));
    bits <<= size;
    count -= size;
    last = k;
  }
  heldBits = bits;
  heldCount = count;
  nextWord = next;
  return last;
}

/**
 * Decodes all blocks of an interleaved scan, those of columns `left` to `right` and rows `top` to `bottom` of units (MCUs)
 * into the components' planes.
 * @param zigzag byte offsets of the coefficients, 64 bytes
 * @param scratch 256 bytes, of which the first 128 are zero
 * @returns 0, or 1 on damaged data
 */
export function decodeScan(
  components: usize,
  count: i32,
  across: i32,
  down: i32,
  interval: i32,
  data: usize,
  segments: usize,
  segmentCount: i32,
  zigzag: usize,
  scratch: usize,
  left: i32,
  right: i32,
  top: i32,
  bottom: i32,
): i32 {
  let segment = 0;
  let unitsLeft = 0;
  let dc0 = 0;
  let dc1 = 0;
  let dc2 = 0;
  for (let row = 0; row < down; row++) {
    for (let column = 0; column < across; column++) {
      const isWanted = row >= top && row < bottom && column >= left && column < right;
      if (unitsLeft == 0) {
        if (segment > 0 && nextWord - data > <usize>load<i32>(segments + ((<usize>segment) << 2)) + 4) return 1;
        if (segment == segmentCount) return 1;
        nextWord = data + <usize>load<i32>(segments + ((<usize>segment) << 2));
        segment++;
        heldBits = 0;
        heldCount = 0;
        dc0 = 0;
        dc1 = 0;
        dc2 = 0;
        unitsLeft = interval > 0 ? interval : i32.MAX_VALUE;
      }
      unitsLeft--;
      for (let c = 0; c < count; c++) {
        const component = components + <usize>c * COMPONENT;
        const h = load<i32>(component, H);
        const v = load<i32>(component, V);
        const stride = load<i32>(component, STRIDE);
        const quant = <usize>load<i32>(component, QUANT);
        const dcTable = <usize>load<i32>(component, DC);
        const acTable = <usize>load<i32>(component, AC);
        const plane = <usize>load<i32>(component, PLANE) + <usize>(row * v * 8 * stride + column * h * 8);
        predicted = c == 0 ? dc0 : c == 1 ? dc1 : dc2;
        for (let y = 0; y < v; y++) {
          for (let x = 0; x < h; x++) {
            const last = decodeBlock(scratch, dcTable, acTable, zigzag);
            if (last < 0) return 1;
            const out = plane + <usize>(y * 8 * stride + x * 8);
            if (!isWanted) {
              if (last > 0) clear(scratch);
            } else if (last == 0) flat(<i32>(<i16>(<i16>predicted * load<i16>(quant))), out, stride);
            else inverseDct(scratch, quant, scratch + 128, out, stride);
          }
        }
        if (c == 0) dc0 = predicted;
        else if (c == 1) dc1 = predicted;
        else dc2 = predicted;
      }
      // What lies behind the segment's end reads as zeros; more than a word of them was never there.
      if (nextWord - data > <usize>load<i32>(segments + ((<usize>segment) << 2)) + 4) return 1;
    }
  }
  return 0;
}
