/** From RGB to planes of floats by a table, `src/image/tensor.ts` says which. */

/**
 * `pixels` of RGB to `[3, pixels]` floats; reads up to 9 bytes and writes up to 12 behind the end.
 * @param tables 256 floats of each channel
 * @param plane bytes from a plane to the next, at least 16 * ceil(pixels / 4)
 */
export function toFloats(source: usize, pixels: i32, tables: usize, out: usize, plane: i32): void {
  for (let c: usize = 0; c < 3; c++) {
    let p = source + c;
    let o = out;
    for (let i = 0; i < pixels; i += 4) {
      let four = v128.load32_zero(tables + ((<usize>load<u8>(p)) << 2));
      four = v128.load32_lane(tables + ((<usize>load<u8>(p, 3)) << 2), four, 1);
      four = v128.load32_lane(tables + ((<usize>load<u8>(p, 6)) << 2), four, 2);
      four = v128.load32_lane(tables + ((<usize>load<u8>(p, 9)) << 2), four, 3);
      v128.store(o, four);
      p += 12;
      o += 16;
    }
    tables += 1024;
    out += <usize>plane;
  }
}
