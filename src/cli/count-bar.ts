import { bar, duration } from "./progress-bar.ts";

/** Milliseconds between redraws on a terminal, and between lines elsewhere. */
const REDRAW = 100;
const LINE = 10_000;
/** Seconds that the shown speed is a mean of. */
const WINDOW = 10;

export interface CountBar {
  /** Where an earlier run stopped. */
  begin(done: number): void;
  /** @param total unknown of a stream @param what is being done, where that changes */
  show(done: number, total: number | undefined, what?: string): void;
  /** A line that stays. */
  say(line: string): void;
  end(): void;
}

/** How many of something are done, on stderr: redrawn on a terminal, a plain line now and then in a log. */
export function createCountBar(unit: string, out: NodeJS.WriteStream = process.stderr): CountBar {
  const redraws = out.isTTY === true;
  let last = redraws ? Number.NEGATIVE_INFINITY : performance.now();
  let drawn = false;
  let seen = [{ at: performance.now(), done: 0 }];
  const end = (): void => {
    if (drawn) out.write("\n");
    drawn = false;
  };
  return {
    begin(done) {
      seen = [{ at: performance.now(), done }];
    },
    show(done, total, what) {
      const now = performance.now();
      const isWhole = done === total; // a terminal sees the full bar, a log needs no last line
      if (isWhole ? !redraws : now - last < (redraws ? REDRAW : LINE)) return;
      last = now;
      const recent = seen.filter(({ at }) => now - at < WINDOW * 1000);
      const first = recent[0] ?? seen.at(-1);
      seen = [...recent, { at: now, done }];
      const speed = first && now > first.at ? ((done - first.done) / (now - first.at)) * 1000 : 0;
      const parts = [
        ...(what === undefined ? [] : [what]),
        total === undefined
          ? `${done} ${unit}`
          : `${bar(done / Math.max(1, total))} ${done}/${total} ${unit}`.trimEnd(),
        `${speed < 10 ? speed.toFixed(1) : speed.toFixed(0)}/s`,
        ...(total !== undefined && speed > 0 && done < total ? [`${duration((total - done) / speed)} left`] : []),
      ];
      out.write(redraws ? `\r${parts.join("  ")}\x1b[K` : `${parts.join("  ")}\n`);
      drawn = redraws;
    },
    say(line) {
      if (drawn) out.write("\r\x1b[K");
      drawn = false;
      out.write(`clip-ts: ${line}\n`);
    },
    end,
  };
}
