import { createStatusLine, duration } from "./status-line.ts";

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

/** How many of something are done, on stderr. */
export function createCountBar(unit: string, out: NodeJS.WriteStream = process.stderr): CountBar {
  const status = createStatusLine(out, false);
  let seen = [{ at: performance.now(), done: 0 }];
  return {
    begin(done) {
      seen = [{ at: performance.now(), done }];
    },
    show(done, total, what) {
      const isWhole = done === total; // a terminal sees the full bar, a log needs no last line
      if (isWhole ? !status.isTerminal : !status.isDue()) return;
      const now = performance.now();
      const recent = seen.filter(({ at }) => now - at < WINDOW * 1000);
      const first = recent[0] ?? seen.at(-1);
      seen = [...recent, { at: now, done }];
      const speed = first && now > first.at ? ((done - first.done) / (now - first.at)) * 1000 : 0;
      const parts = [
        `${total === undefined ? done : `${done}/${total}`} ${unit}`.trimEnd(),
        `${speed < 10 ? speed.toFixed(1) : speed.toFixed(0)}/s`,
        ...(total !== undefined && speed > 0 && done < total ? [`${duration((total - done) / speed)} left`] : []),
        ...(what === undefined ? [] : [what]),
      ];
      status.show(parts.join("  "), total === undefined ? undefined : done / Math.max(1, total));
    },
    say: (line) => status.say(`clip-ts: ${line}`),
    end: status.end,
  };
}
