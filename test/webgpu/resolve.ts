/** Module resolution of `run.ts`: the small harness for vitest, the device for the conformance suite's engines. */
import type { ResolveHook } from "node:module";

export const resolve: ResolveHook = (specifier, context, next) => {
  if (specifier === "vitest") return next(new URL("./harness.js", import.meta.url).href, context);
  if (specifier === "./engines.js") return next(new URL("./engines.js", import.meta.url).href, context);
  return next(specifier, context);
};
