import { createStatusLine, duration } from "./status-line.ts";

/** Seconds that the shown speed is a mean of. */
const WINDOW = 5;

export interface ByteBar {
  /** @param label what the bytes belong to */
  show(done: number, total: number, label: string): void;
  /** A line that stays. */
  note(line: string): void;
  /** Leaves the last state on the screen. */
  end(): void;
}

/** How many bytes are there, on stderr. */
export function createByteBar(out: NodeJS.WriteStream = process.stderr): ByteBar {
  const status = createStatusLine(out, false);
  let seen: { readonly at: number; readonly done: number }[] = [];
  return {
    show(done, total, label) {
      const now = performance.now();
      if (done < total && !status.isDue()) {
        if (seen.length === 0) seen.push({ at: now, done });
        return;
      }
      // In a log lines are further apart than the window: then the speed since the last one. What begins anew has none yet.
      const before = (seen.at(-1)?.done ?? 0) > done ? [] : seen;
      const recent = before.filter(({ at }) => now - at < WINDOW * 1000);
      seen = [...(recent.length > 0 ? recent : before.slice(-1)), { at: now, done }];
      const [first] = seen;
      const speed = first && now > first.at ? ((done - first.done) / (now - first.at)) * 1000 : 0;
      const left = speed > 0 && done < total ? `  ${duration((total - done) / speed)} left` : "";
      const text = `${megabytes(done)}/${megabytes(total)} MB  ${megabytes(speed)} MB/s${left}  ${label}`;
      status.show(text, total > 0 ? done / total : 1);
    },
    note(line) {
      status.end(); // how far it had come stays above
      status.say(`clip-ts: ${line}`);
    },
    end: status.end,
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
