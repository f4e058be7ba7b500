/** Milliseconds between redraws on a terminal, and between lines elsewhere. */
const REDRAW = 100;
const LINE = 10_000;
/** Cells of a bar where there is room. */
const BAR = 24;
/** A shorter one says nothing. */
const SHORTEST = 4;

/** A line about what goes on, on stderr: redrawn on a terminal, never wider than that; a plain line now and then in a log. */
export interface StatusLine {
  readonly isTerminal: boolean;
  /** Whether it is time for the next one. */
  isDue(): boolean;
  /** @param done share from 0 to 1, shown as a bar in front. @default no bar */
  show(text: string, done?: number): void;
  /** A line that stays, in the place of what is shown. */
  say(line: string): void;
  /** Leaves the last state on the screen. */
  end(): void;
}

/** @param atOnce whether a log gets its first line at once, or only where the work takes long */
export function createStatusLine(out: NodeJS.WriteStream, atOnce: boolean): StatusLine {
  const isTerminal = out.isTTY === true;
  let last = isTerminal || atOnce ? Number.NEGATIVE_INFINITY : performance.now();
  let isDrawn = false;
  return {
    isTerminal,
    isDue: () => performance.now() - last >= (isTerminal ? REDRAW : LINE),
    show(text, done) {
      last = performance.now();
      // A line that fills the last column goes on in the next row, where the next redraw would not wipe it away.
      const room = isTerminal && out.columns > 0 ? out.columns - 1 : Number.POSITIVE_INFINITY;
      const line = `${done === undefined ? "" : barOf(done, room - text.length - 3)}${text}`;
      out.write(isTerminal ? `\r${[...line].slice(0, room).join("")}\x1b[K` : `${line}\n`);
      isDrawn = isTerminal;
    },
    say(line) {
      out.write(`${isDrawn ? "\r\x1b[K" : ""}${line}\n`);
      isDrawn = false;
    },
    end() {
      if (isDrawn) out.write("\n");
      isDrawn = false;
    },
  };
}

/** `[===   ] ` of at most so many cells, or nothing where there is no room for it. */
function barOf(done: number, room: number): string {
  const cells = Math.min(BAR, room);
  if (cells < SHORTEST) return "";
  return `[${"=".repeat(Math.round(Math.min(1, done) * cells)).padEnd(cells)}] `;
}

/** `4:05`, or `1:04:05`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
