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

/** So many bits are looked up at once. An entry is what `src/image/jpeg.ts` says. */
const LOOK: i32 = 10;
const VALUE_FOLLOWS: u64 = 0x40;
const END_OF_BLOCK: u64 = 0x80;
const LONGER: u64 = 0xc0;

/**
 * Copies entropy-coded data backwards, without its stuffed zeros, to below `out`: a load of eight bytes there has the first bit
 * of the data as its highest. Reads and writes up to 16 bytes too many.
 * @param segments gets the address above each restart's first byte, and at last that of the last byte
 * @returns the number of segments, or -1 if there are more than `most`
 */
export function unstuff(source: usize, length: i32, out: usize, segments: usize, most: i32): i32 {
  const end = source + <usize>length;
  const marker = i8x16.splat(-1);
  let n = 1;
  store<i32>(segments, <i32>out);
  while (source < end) {
    const bytes = v128.load(source);
    const plain = min(ctz(i8x16.bitmask(i8x16.eq(bytes, marker)) | 0x10000), <i32>(end - source));
    v128.store(out - 16, v128.shuffle<u8>(bytes, bytes, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    source += plain;
    out -= plain;
    if (plain == 16 || source == end) continue;
    let next: u8 = 0xff;
    while (source < end && next == 0xff) next = load<u8>(source++);
    if (next == 0) store<u8>(--out, 0xff);
    else if (next >= 0xd0 && next <= 0xd7) {
      if (n == most) return -1;
      store<i32>(segments + ((<usize>n) << 2), <i32>out);
      n++;
    } else break;
  }
  store<i32>(segments + ((<usize>n) << 2), <i32>out);
  return n;
}

// The bit reader between blocks; within one it is in local variables.
/** The next bits, the first one highest. */
let heldBits: u64 = 0;
/**
 * How many of them count: 56 to 63 after a refill, of which a code and its value take at most 31. The others are true as well,
 * but the next refill brings them again.
 */
let heldCount: u64 = 0;
/** Where the eight bytes behind those are. */
let nextBytes: usize = 0;

/**
 * A code longer than the table looks ahead, by the largest code and the offset of each length, which lie behind the table.
 * @returns its entry, 0 where there is no such code
 */
function longCode(table: usize, code: i32): u64 {
  const rest = table + (4 << LOOK);
  for (let length = LOOK + 1; length <= 16; length++) {
    const prefix = code >> (16 - length);
    if (prefix > load<i32>(rest + ((<usize>length) << 3))) continue;
    const i = (prefix + load<i32>(rest + ((<usize>length) << 3), 4)) & 255;
    return <u64>load<u32>(rest + 17 * 8 + ((<usize>i) << 2));
  }
  return 0;
}

let predicted: i32 = 0;

/**
 * Coefficients of a block, not yet dequantised, in natural order; the block was zero before. `predicted` goes from the last
 * block's first coefficient to this one's.
 * @returns how many there are in zigzag order, or -1 on data that make no sense
 */
function decodeBlock(block: usize, dcTable: usize, acTable: usize, zigzag: usize): i32 {
  let bits = heldBits;
  let count = heldCount;
  let next = nextBytes;
  let table = dcTable;
  let place = zigzag - 1;
  const last = zigzag + 63;
  while (place < last) {
    // Looked up before the refill, which is none of its bits: the processor does both at a time.
    let entry = <u64>load<u32>(table + ((<usize>(bits >> (64 - LOOK))) << 2));
    bits |= load<u64>(next) >> count;
    next = next - 7 + ((<usize>count >> 3) & 7);
    count |= 56;
    // Shifts and counts are modulo 64: what else is in an entry does no harm.
    bits <<= entry;
    count -= entry;
    let value = <i32>(entry >> 8);
    if (entry & LONGER) {
      if ((entry & LONGER) == LONGER) {
        entry = longCode(table, <i32>(bits >> 48));
        if (entry == 0) return -1;
        bits <<= entry;
        count -= entry;
        value = <i32>(entry >> 8);
      }
      if (entry & END_OF_BLOCK) break;
      if (entry & VALUE_FOLLOWS) {
        const size = <u64>(value & 15);
        value = extended(<i32>(bits >> (64 - size)), <i32>size);
        bits <<= size;
        count -= size;
      }
    }
    place += <usize>(entry >> 24);
    store<i16>(block + <usize>load<u8>(place), <i16>value);
    table = acTable;
  }
  heldBits = bits;
  heldCount = count & 63;
  nextBytes = next;
  predicted += load<i16>(block);
  store<i16>(block, <i16>predicted);
  return place > last ? -1 : <i32>(place - zigzag) + 1;
}

/** The number that `size` bits stand for: those that begin with 0 are the negative ones. No branch, which nobody could predict. */
function extended(value: i32, size: i32): i32 {
  const isNegative = (value >> (size - 1)) - 1; // all bits or none
  return value - (((1 << size) - 1) & isNegative);
}

/**
 * Decodes all blocks of an interleaved scan, those of columns `left` to `right` and rows `top` to `bottom` of units (MCUs)
 * into the components' planes.
 * @param zigzag byte offsets of the coefficients, 64 bytes and 15 for those that damaged data count beyond
 * @param scratch 256 bytes, of which the first 128 are zero
 * @returns 0, or 1 on damaged data
 */
export function decodeScan(
  components: usize,
  count: i32,
  across: i32,
  down: i32,
  interval: i32,
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
  let segmentEnd: usize = 0;
  let unitsLeft = 0;
  let dc0 = 0;
  let dc1 = 0;
  let dc2 = 0;
  for (let row = 0; row < down; row++) {
    for (let column = 0; column < across; column++) {
      const isWanted = row >= top && row < bottom && column >= left && column < right;
      if (unitsLeft == 0) {
        if (segment == segmentCount) return 1;
        const start = <usize>load<i32>(segments + ((<usize>segment) << 2));
        segment++;
        segmentEnd = <usize>load<i32>(segments + ((<usize>segment) << 2));
        heldBits = load<u64>(start - 8);
        heldCount = 56;
        nextBytes = start - 15;
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
            const coefficients = decodeBlock(scratch, dcTable, acTable, zigzag);
            if (coefficients < 0) return 1;
            const out = plane + <usize>(y * 8 * stride + x * 8);
            if (!isWanted) clear(scratch);
            else if (coefficients == 1) flat(<i32>(<i16>(<i16>predicted * load<i16>(quant))), out, stride);
            else inverseDct(scratch, quant, scratch + 128, out, stride);
          }
        }
        if (c == 0) dc0 = predicted;
        else if (c == 1) dc1 = predicted;
        else dc2 = predicted;
      }
      // A unit that goes on behind the segment's end has read something else; there is room for one.
      if (nextBytes + 8 + <usize>(heldCount >> 3) < segmentEnd) return 1;
    }
  }
  return 0;
}
