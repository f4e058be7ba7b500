import { expect, test } from "vitest";
import { renderSvg } from "../../src/image/index.ts";

const svg = (attributes: string, body: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${body}</svg>`;

test("a wide SVG is drawn at its proportions, centred on white", async () => {
  const red = '<rect width="20" height="10" fill="#f00"/>';
  for (const attributes of ['viewBox="0 0 20 10" width="40" height="40"', 'width="20" height="10"']) {
    const { width, height, data } = await renderSvg(svg(attributes, red), 40);
    expect([width, height]).toEqual([40, 40]);
    const at = (x: number, y: number) => [...data.subarray((y * 40 + x) * 3, (y * 40 + x) * 3 + 3)];
    expect(at(20, 2)).toEqual([255, 255, 255]);
    expect(at(20, 37)).toEqual([255, 255, 255]);
    expect(at(2, 20)).toEqual([255, 0, 0]);
    expect(at(37, 20)).toEqual([255, 0, 0]);
  }
});

test("what is no SVG is refused in one line that names it", async () => {
  await expect(renderSvg("<svg", 8, "emoji x")).rejects.toThrow(/^emoji x: cannot be drawn: [^\n]+$/);
});
