export { createExplainer, type Explainer, type Relevance } from "./explainer.ts";
export { type Heat, heatOverlay, type Region, seenRegion } from "./overlay.ts";
export { type ExplainMethod, methodOf, relevance } from "./relevance.ts";
