import { describe, expect, it, vi } from "vitest";
import { createByteBar } from "../../src/cli/byte-bar.ts";
import { createCountBar } from "../../src/cli/count-bar.ts";
import { createProgressBar } from "../../src/cli/progress-bar.ts";
import { createStatusLine, duration } from "../../src/cli/status-line.ts";

/** Stands for stderr; keeps what is written. */
function screen(columns?: number): { readonly stream: NodeJS.WriteStream; readonly written: string[] } {
  const written: string[] = [];
  const write = (text: string): boolean => written.push(text) > 0;
  const stream = Object.assign(Object.create(process.stderr) as NodeJS.WriteStream, { write });
  Object.defineProperties(stream, { isTTY: { value: columns !== undefined }, columns: { value: columns } });
  return { stream, written };
}

const metrics = (step: number) =>
  ({
    step,
    batch: 128,
    loss: 4.5,
    accuracy: 0.1,
    learningRate: 1e-3,
    scale: 14.3,
    gradientNorm: 1,
    pairsPerSecond: 640,
  }) as const;
const SEEN = "1200/1544  loss 4.500  640 pairs/s  1:09 left  lr 1.0e-3  scale 14.3";

describe("a line about what goes on", () => {
  it.each([
    [120, `[===================     ] ${SEEN}`],
    [80, `[======  ] ${SEEN}`],
    [72, SEEN],
    [40, SEEN.slice(0, 39)],
    [0, `[===================     ] ${SEEN}`], // a terminal that does not know its width
  ])("is never wider than a terminal of %s columns", (columns, text) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { stream, written } = screen(columns);
      const bar = createProgressBar(stream);
      bar.show(metrics(1199), 1544);
      vi.advanceTimersByTime(200);
      bar.show(metrics(1200), 1544);
      expect(written.at(-1)).toBe(`\r${text}\x1b[K`);
    } finally {
      vi.useRealTimers();
    }
  });

  it("says nothing of time before the second step, and lets the first, which compiles, count for nothing", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { stream, written } = screen(120);
      const bar = createProgressBar(stream);
      for (const [i, pairsPerSecond] of [13, 600, 300].entries()) {
        bar.show({ ...metrics(i + 1), pairsPerSecond }, 1544);
        vi.advanceTimersByTime(200);
      }
      expect(written[0]).toContain("1/1544  loss 4.500  lr 1.0e-3");
      expect(written[1]).toContain("  600 pairs/s  5:29 left  "); // 1,542 steps of 128 pairs
      expect(written[2]).toContain("  400 pairs/s  8:13 left  "); // 256 pairs took 0.64 s
    } finally {
      vi.useRealTimers();
    }
  });

  it("cuts no character into halves", () => {
    const { stream, written } = screen(24);
    createStatusLine(stream, true).show("😀".repeat(30));
    expect(written).toEqual([`\r${"😀".repeat(23)}\x1b[K`]);
  });

  it("is plain in a log, and not at every step", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { stream, written } = screen();
      const bar = createProgressBar(stream);
      for (let step = 1; step <= 1544; step++) {
        bar.show(metrics(step), 1544);
        vi.advanceTimersByTime(200);
      }
      bar.end();
      // 1,544 steps of 0.2 s are 308 s: a line at once, one every ten seconds, one at the end.
      expect(written.length).toBe(1 + 30 + 1);
      expect(written.at(-1)).toBe(
        `[${"=".repeat(24)}] 1544/1544  loss 4.500  640 pairs/s  0:00 left  lr 1.0e-3  scale 14.3\n`,
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it("gives way to a line that stays", () => {
    const { stream, written } = screen(80);
    const bar = createCountBar("pictures", stream);
    bar.show(4, 4);
    bar.say("a.png: cannot be decoded");
    bar.end();
    expect(written.slice(1)).toEqual(["\r\x1b[Kclip-ts: a.png: cannot be decoded\n"]);
    const bytes = screen(80);
    const other = createByteBar(bytes.stream);
    other.show(2e6, 2e6, "model.safetensors");
    other.note("waiting");
    expect(bytes.written).toEqual([
      `\r[${"=".repeat(24)}] 2.0/2.0 MB  0.0 MB/s  model.safetensors\x1b[K`,
      "\n",
      "clip-ts: waiting\n",
    ]);
  });

  it("says durations as clocks do", () => {
    expect([0.4, 65, 3_725, -3].map(duration)).toEqual(["0:00", "1:05", "1:02:05", "0:00"]);
  });
});
