import type { DownloadProgress, HubOptions } from "../hub/index.ts";
import { duration } from "./progress-bar.ts";

const BAR = 24;
/** Milliseconds between redraws on a terminal, and between lines elsewhere. */
const REDRAW = 100;
const LINE = 10_000;
/** Seconds that the shown speed is a mean of. */
const WINDOW = 5;

/** Bytes on stderr: a bar that is redrawn on a terminal, a plain line now and then in a log; nothing for small files. */
export function createDownloadBar(out: NodeJS.WriteStream = process.stderr): {
  readonly hub: Pick<HubOptions, "onProgress" | "onNote">;
  end(): void;
} {
  const redraws = out.isTTY === true;
  let last = Number.NEGATIVE_INFINITY;
  let drawn = false;
  let seen: { readonly at: number; readonly received: number }[] = [];
  const end = (): void => {
    if (drawn) out.write("\n");
    drawn = false;
  };
  const onProgress = ({ file, received, total }: DownloadProgress): void => {
    const now = performance.now();
    if (seen.length === 0) last = redraws ? last : now;
    if (received < total && now - last < (redraws ? REDRAW : LINE)) {
      if (seen.length === 0) seen.push({ at: now, received });
      return;
    }
    last = now;
    seen = [...seen.filter(({ at }) => now - at < WINDOW * 1000), { at: now, received }];
    const [first] = seen;
    const speed = first && now > first.at ? ((received - first.received) / (now - first.at)) * 1000 : 0;
    const left = speed > 0 && received < total ? `  ${duration((total - received) / speed)} left` : "";
    const full = total > 0 ? Math.round((received / total) * BAR) : BAR;
    const bar = `[${"=".repeat(full)}${" ".repeat(BAR - full)}]`;
    const text = `${bar} ${megabytes(received)}/${megabytes(total)} MB  ${megabytes(speed)} MB/s${left}  ${file}`;
    out.write(redraws ? `\r${text}\x1b[K` : `${text}\n`);
    drawn = redraws;
  };
  const onNote = (line: string): void => {
    end();
    out.write(`clip-ts: ${line}\n`);
  };
  return { hub: { onProgress, onNote }, end };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
