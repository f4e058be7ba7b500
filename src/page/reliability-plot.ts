import { type Html, html } from "./html.ts";

export interface ReliabilityPlot {
  readonly title: string;
  readonly bins: readonly {
    /** Of the confidences, 0 to 1. */
    readonly low: number;
    readonly high: number;
    readonly count: number;
    readonly confidence: number;
    readonly accuracy: number;
  }[];
}

const [SIZE, LEFT, TOP, STRIP] = [230, 44, 8, 44];
const [WIDTH, HEIGHT] = [LEFT + SIZE + 10, TOP + SIZE + 22 + STRIP + 6];

/** Share of right answers over the confidence, the dashed line being where both are equal; how many answers there are below. */
export function reliabilityPlot({ title, bins }: ReliabilityPlot): Html {
  const inside = (share: number): number => Math.max(0, Math.min(1, share));
  const x = (share: number): number => LEFT + inside(share) * SIZE;
  const y = (share: number): number => TOP + (1 - inside(share)) * SIZE;
  const most = bins.reduce((greatest, { count }) => Math.max(greatest, count), 1);
  const foot = HEIGHT - 4;
  const marks = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      html`<line x1="${LEFT}" x2="${LEFT + SIZE}" y1="${y(share)}" y2="${y(share)}"/><text x="${LEFT - 6}" y="${y(share) + 4}" text-anchor="end">${100 * share}</text><text x="${x(share)}" y="${y(0) + 15}" text-anchor="middle">${100 * share}</text>`,
  );
  const bars = bins
    .filter(({ count }) => count > 0)
    .map(({ low, high, count, confidence, accuracy }) => {
      const [left, width] = [x(low) + 0.5, Math.max(1, x(high) - x(low) - 1)];
      const height = (count / most) * STRIP;
      const said = `${count} answers, confidence ${(100 * confidence).toFixed(1)} %, right ${(100 * accuracy).toFixed(1)} %`;
      return html`<g><title>${said}</title><rect class="bar" x="${px(left)}" y="${px(y(accuracy))}" width="${px(width)}" height="${px(y(0) - y(accuracy))}"/><circle cx="${px(x(confidence))}" cy="${px(y(accuracy))}" r="3"/><rect class="bar small" x="${px(left)}" y="${px(foot - height)}" width="${px(width)}" height="${px(height)}"/></g>`;
    });
  return html`<figure><figcaption>${title}</figcaption><div class="axis">right answers, %</div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" style="width:18rem;max-width:100%" class="s0" role="img" aria-label="${title}">${marks}${bars}<line class="diagonal" x1="${x(0)}" y1="${y(0)}" x2="${x(1)}" y2="${y(1)}"/><line class="base" x1="${LEFT}" x2="${LEFT + SIZE}" y1="${y(0)}" y2="${y(0)}"/><line class="base" x1="${LEFT}" x2="${LEFT + SIZE}" y1="${foot}" y2="${foot}"/><text x="${LEFT - 6}" y="${foot - STRIP + 10}" text-anchor="end">${most}</text></svg>
<div class="axis">above: confidence, %; below: answers with it</div></figure>`;
}

const px = (value: number): string => value.toFixed(1);
