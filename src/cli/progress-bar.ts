import type { MetricsLine } from "../train/run-folder.ts";
import { createStatusLine, duration } from "./status-line.ts";

/** How much a step's figure moves the one shown: what is seen is the last twenty steps or so. */
const WEIGHT = 0.05;

export interface ProgressBar {
  show(line: MetricsLine, total: number): void;
  /** Something done once: "drawing emoji 300/9013". */
  note(text: string): void;
  /** Leaves the last state on the screen. */
  end(): void;
}

/** How far training is, on stderr. */
export function createProgressBar(out: NodeJS.WriteStream = process.stderr): ProgressBar {
  const status = createStatusLine(out, true);
  let loss: number | undefined;
  let speed: number | undefined;
  return {
    show(line, total) {
      loss = smoothed(loss, line.loss);
      speed = 1 / smoothed(speed === undefined ? undefined : 1 / speed, 1 / line.pairsPerSecond);
      if (line.step < total && !status.isDue()) return;
      const text = [
        `${line.step}/${total}`,
        `loss ${loss.toFixed(3)}`,
        `${Math.round(speed)} pairs/s`,
        `${duration(((total - line.step) * line.batch) / speed)} left`,
        `lr ${line.learningRate.toExponential(1)}`,
        `scale ${line.scale.toFixed(1)}`,
      ].join("  ");
      status.show(text, line.step / total);
    },
    note: (text) => status.isDue() && status.show(text),
    end: status.end,
  };

  function smoothed(before: number | undefined, now: number): number {
    return before === undefined ? now : before + WEIGHT * (now - before);
  }
}
