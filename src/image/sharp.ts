import type SharpFactory from "sharp";

type Sharp = typeof SharpFactory;

let loading: Promise<Sharp> | undefined;

/**
 * The one place that loads sharp: on first use, so that a program that decodes nothing (or a browser that bundles this
 * room) never needs its native library. One clear line if it is not there.
 */
export function loadSharp(): Promise<Sharp> {
  loading ??= import("sharp").then(
    (module) => module.default,
    (error: unknown) => {
      loading = undefined;
      const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
      throw new Error(`sharp, which decodes images, cannot be loaded (npm install sharp): ${reason}`);
    },
  );
  return loading;
}
