/** Of all pages. The colours of lines are told apart in both schemes and by most colour-blind readers; lines differ in their dashes too. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fff; --text: #1c2128; --quiet: #667080; --faint: #d8dde4; --wash: #f5f7f9;
  --right: #1a7f37; --wrong: #c4342d;
  --s0: #2f6fdb; --s1: #d9730d; --s2: #178a6a; --s3: #c23a74; --s4: #7a55d1; --s5: #8a6d1f; --s6: #0f8ba8; --s7: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --text: #e3e7ec; --quiet: #939dab; --faint: #333a44; --wash: #1c2027;
    --right: #4cc26b; --wrong: #ff7b72;
    --s0: #6ea3ff; --s1: #f3a04d; --s2: #4fc7a4; --s3: #f27fae; --s4: #ab90f5; --s5: #d6b656; --s6: #52bfdb; --s7: #9aa3af;
  }
}
@media print {
  :root {
    --ground: #fff; --text: #000; --quiet: #444; --faint: #ccc; --wash: #fff;
    --s0: #2f6fdb; --s1: #d9730d; --s2: #178a6a; --s3: #c23a74; --s4: #7a55d1; --s5: #8a6d1f; --s6: #0f8ba8; --s7: #6b7280;
  }
  figure, .card, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } .scroll { overflow: visible; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 0.25rem; padding-top: 1rem; border-top: 1px solid var(--faint); font-size: 1.3rem; overflow-wrap: anywhere; }
h3 { margin: 2rem 0 0.5rem; font-size: 1rem; }
.summary, .note, .quiet { color: var(--quiet); } .note { font-size: 13px; margin: 0.25rem 0; } .summary { margin: 0.25rem 0 1rem; overflow-wrap: anywhere; }
a { color: var(--s0); text-decoration: none; } a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.75rem 0; font-size: 14px; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: middle; border-bottom: 1px solid var(--faint); }
th { font-weight: 600; font-size: 12px; color: var(--quiet); vertical-align: bottom; } tbody tr:last-child td { border-bottom: 0; }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 1rem 0; }
.tile { background: var(--wash); border-radius: 8px; padding: 0.6rem 1rem; min-width: 8.5rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: 12px; color: var(--quiet); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1.5rem; align-items: start; margin: 1rem 0; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; font-size: 14px; overflow-wrap: anywhere; }
.plots.many { grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); gap: 1rem 1.5rem; } .many svg text { font-size: 16px; } .many polyline { stroke-width: 3; }
@media (min-width: 48rem) { .plots > :only-child { grid-column: span 2; max-width: 36rem; } }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; align-items: flex-start; margin: 1rem 0; } .beside > * { max-width: 100%; }
.axis { font-size: 12px; color: var(--quiet); }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); } svg line { stroke: var(--faint); }
svg .base { stroke: var(--quiet); } svg .diagonal { stroke: var(--quiet); stroke-dasharray: 3 3; }
polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; } .faint { stroke: var(--faint); stroke-width: 1.5; } .band { fill: var(--c); opacity: 0.15; }
circle, ellipse { fill: var(--c); } .whisker { stroke: var(--c); stroke-width: 1.5; } .bar { fill: var(--c); opacity: 0.75; } .bar.small { opacity: 0.3; } .bar ~ .whisker { stroke: var(--text); }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); }
.dash1 { stroke-dasharray: 7 3; } .dash2 { stroke-dasharray: 2 3; } .dash3 { stroke-dasharray: 8 3 2 3; }
.legend { display: flex; flex-wrap: wrap; gap: 0 0.9rem; margin: 0; padding: 0; list-style: none; font-size: 12px; }
.legend li { display: flex; align-items: center; gap: 0.35rem; min-width: 0; overflow-wrap: anywhere; } .legend svg { width: 20px; flex: none; }
.intervals { width: 100%; } .intervals td:last-child { width: 36%; min-width: 9rem; padding-right: 0; } .intervals td:first-child { min-width: 7rem; } .intervals svg { height: 16px; }
.intervals td { padding-top: 0.15rem; padding-bottom: 0.15rem; overflow-wrap: anywhere; }
.intervals th:last-child div { position: relative; display: flex; justify-content: space-between; font-weight: 400; }
.intervals th:last-child span[style] { position: absolute; transform: translateX(-50%); }
@media (max-width: 40rem) {
  .intervals tr { display: flex; flex-wrap: wrap; gap: 0 0.9rem; border-bottom: 1px solid var(--faint); padding: 0.3rem 0; }
  .intervals td, .intervals th { border: 0; padding: 0; } .intervals td:first-child { min-width: 0; font-weight: 600; }
  .intervals th:not(:last-child) { display: none; } .intervals td.figure { margin-left: auto; }
  .intervals td:last-child, .intervals th:last-child { width: 100%; }
}
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 11rem), 1fr)); gap: 0.75rem; margin: 1rem 0; }
.card { display: grid; grid-template-columns: 64px minmax(0, 1fr); gap: 0.2rem 0.6rem; align-content: start; font-size: 12px; line-height: 1.35; background: var(--wash); border-radius: 8px; padding: 0.6rem; overflow-wrap: anywhere; }
.card > .name { grid-column: 1 / 3; } .card > b { grid-column: 1 / 3; font-size: 13px; } .card img { width: 64px; height: 64px; object-fit: contain; border-radius: 4px; background: #fff; }
.right { color: var(--right); font-weight: 600; } .wrong { color: var(--wrong); font-weight: 600; }
.answers { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.25rem 0 1rem; } .answers .card { width: 9rem; grid-template-columns: 1fr; }
.answers .card.hit { outline: 2px solid var(--right); }
.matrix { width: auto; } .matrix td { padding: 0.2rem 0.3rem; font-size: 11px; text-align: center; border: 0; }
.matrix th { font-size: 11px; font-weight: 400; border: 0; max-width: 6rem; vertical-align: bottom; text-align: center; padding: 0.2rem 0.3rem; }
.matrix img { width: 40px; height: 40px; display: block; }
details { margin: 1rem 0; font-size: 13px; } summary { cursor: pointer; color: var(--quiet); }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr); gap: 0.15rem 1rem; margin: 0.5rem 0; } dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: 12px; }
`;
