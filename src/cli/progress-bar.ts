import type { MetricsLine } from "../train/run-folder.ts";

/** How much a step's figure moves the one shown: what is seen is the last twenty steps or so. */
const WEIGHT = 0.05;
const BAR = 24;
/** Milliseconds between redraws on a terminal, and between lines elsewhere. */
const REDRAW = 100;
const LINE = 10_000;

export interface ProgressBar {
  show(line: MetricsLine, total: number): void;
  /** Something done once: "drawing emoji 300/9013". */
  note(text: string): void;
  /** Leaves the last state on the screen. */
  end(): void;
}

/** Progress on stderr: a bar that is redrawn on a terminal, a plain line now and then in a log. */
export function createProgressBar(out: NodeJS.WriteStream = process.stderr): ProgressBar {
  const redraws = out.isTTY === true;
  let loss: number | undefined;
  let speed: number | undefined;
  let last = Number.NEGATIVE_INFINITY;
  let drawn = false;
  const write = (text: string, isLast: boolean): void => {
    const now = performance.now();
    if (!isLast && now - last < (redraws ? REDRAW : LINE)) return;
    last = now;
    out.write(redraws ? `\r${text}\x1b[K` : `${text}\n`);
    drawn = redraws;
  };
  return {
    show(line, total) {
      loss = smoothed(loss, line.loss);
      speed = 1 / smoothed(speed === undefined ? undefined : 1 / speed, 1 / line.pairsPerSecond);
      const share = line.step / total;
      const left = ((total - line.step) * line.batch) / speed;
      const text = [
        `${bar(share)} ${line.step}/${total}`,
        `loss ${loss.toFixed(3)}`,
        `lr ${line.learningRate.toExponential(1)}`,
        `scale ${line.scale.toFixed(1)}`,
        `${Math.round(speed)} pairs/s`,
        `${duration(left)} left`,
      ].join("  ");
      write(text, line.step === total);
    },
    note: (text) => write(text, false),
    end() {
      if (drawn) out.write("\n");
      drawn = false;
    },
  };

  function smoothed(before: number | undefined, now: number): number {
    return before === undefined ? now : before + WEIGHT * (now - before);
  }
}

/** A share from 0 to 1. */
export const bar = (share: number): string => {
  const full = Math.round(share * BAR);
  return `[${"=".repeat(full)}${" ".repeat(BAR - full)}]`;
};

/** `4:05`, or `1:04:05`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
