/** How the learning rate moves over a run. Steps count from 0; the rate of a step is set before its update. */
export type Schedule =
  | {
      readonly kind: "cosine" | "constant";
      /** Steps of linear warm-up from 0. */
      readonly warmup: number;
    }
  | {
      /** Constant, then polynomial decay over the last steps: the length of a run can be decided late. */
      readonly kind: "cooldown";
      readonly warmup: number;
      /** Steps of the decay at the end. */
      readonly cooldown: number;
      /** @default 1, linear */
      readonly power?: number;
      /** Rate at the end of the decay. @default 0 */
      readonly endRate?: number;
    };

/**
 * The learning rate of a step, equal to open_clip's `cosine_lr`, `const_lr` and `const_lr_cooldown`: warm-up
 * `base (step + 1) / warmup`, then `base (1 + cos(pi (step - warmup) / (total - warmup))) / 2`, nothing, or the decay.
 */
export function learningRate(schedule: Schedule, base: number, step: number, total: number): number {
  const { warmup } = schedule;
  if (step < warmup) return (base * (step + 1)) / warmup;
  switch (schedule.kind) {
    case "constant":
      return base;
    case "cosine":
      return 0.5 * (1 + Math.cos((Math.PI * (step - warmup)) / (total - warmup))) * base;
    case "cooldown": {
      const { cooldown, power = 1, endRate = 0 } = schedule;
      const start = total - cooldown;
      if (step < start) return base;
      return (1 - (step - start) / (total - start)) ** power * (base - endRate) + endRate;
    }
  }
}
