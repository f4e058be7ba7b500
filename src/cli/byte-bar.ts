import { duration } from "./progress-bar.ts";

const BAR = 24;
/** Milliseconds between redraws on a terminal, and between lines elsewhere. */
const REDRAW = 100;
const LINE = 10_000;
/** Seconds that the shown speed is a mean of. */
const WINDOW = 5;

export interface ByteBar {
  /** @param label what the bytes belong to */
  show(done: number, total: number, label: string): void;
  /** A line of its own. */
  note(line: string): void;
  /** Leaves the last state on the screen. */
  end(): void;
}

/** Bytes on stderr: a bar that is redrawn on a terminal, a plain line now and then in a log. */
export function createByteBar(out: NodeJS.WriteStream = process.stderr): ByteBar {
  const redraws = out.isTTY === true;
  let last = Number.NEGATIVE_INFINITY;
  let drawn = false;
  let seen: { readonly at: number; readonly done: number }[] = [];
  const end = (): void => {
    if (drawn) out.write("\n");
    drawn = false;
  };
  const show = (done: number, total: number, label: string): void => {
    const now = performance.now();
    if (seen.length === 0) last = redraws ? last : now;
    if (done < total && now - last < (redraws ? REDRAW : LINE)) {
      if (seen.length === 0) seen.push({ at: now, done });
      return;
    }
    last = now;
    // In a log lines are further apart than the window: then the speed since the last one. What begins anew has none yet.
    const before = (seen.at(-1)?.done ?? 0) > done ? [] : seen;
    const recent = before.filter(({ at }) => now - at < WINDOW * 1000);
    seen = [...(recent.length > 0 ? recent : before.slice(-1)), { at: now, done }];
    const [first] = seen;
    const speed = first && now > first.at ? ((done - first.done) / (now - first.at)) * 1000 : 0;
    const left = speed > 0 && done < total ? `  ${duration((total - done) / speed)} left` : "";
    const full = total > 0 ? Math.round((done / total) * BAR) : BAR;
    const bar = `[${"=".repeat(full)}${" ".repeat(BAR - full)}]`;
    const text = `${bar} ${megabytes(done)}/${megabytes(total)} MB  ${megabytes(speed)} MB/s${left}  ${label}`;
    out.write(redraws ? `\r${text}\x1b[K` : `${text}\n`);
    drawn = redraws;
  };
  const note = (line: string): void => {
    end();
    out.write(`clip-ts: ${line}\n`);
  };
  return { show, note, end };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
