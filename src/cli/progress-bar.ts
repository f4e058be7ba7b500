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
  let loss = 0;
  let secondsPerPair = 0;
  let shown = 0;
  return {
    show(line, total) {
      loss = smoothed(loss, line.loss, shown);
      // The first step waits for the compiler and the first pictures: it says nothing about the others.
      if (shown > 0) secondsPerPair = smoothed(secondsPerPair, 1 / line.pairsPerSecond, shown - 1);
      shown++;
      if (line.step < total && !status.isDue()) return;
      const left = duration((total - line.step) * line.batch * secondsPerPair);
      const text = [
        `${line.step}/${total}`,
        `loss ${loss.toFixed(3)}`,
        ...(secondsPerPair > 0 ? [`${Math.round(1 / secondsPerPair)} pairs/s`, `${left} left`] : []),
        `lr ${line.learningRate.toExponential(1)}`,
        `scale ${line.scale.toFixed(1)}`,
      ].join("  ");
      status.show(text, line.step / total);
    },
    note: (text) => status.isDue() && status.show(text),
    end: status.end,
  };
}

/** @param count how many came before: until they are twenty or so, all weigh the same */
function smoothed(before: number, now: number, count: number): number {
  return before + Math.max(WEIGHT, 1 / (count + 1)) * (now - before);
}
