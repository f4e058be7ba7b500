import { type Html, html } from "./html.ts";
import { STYLE } from "./style.ts";

export interface Page {
  readonly title: string;
  /** A line under the title. */
  readonly summary: string;
  readonly body: Html | readonly Html[];
}

/** One file without references, nothing of which runs: the policy forbids scripts and every address but pictures inside the page. */
export function page({ title, summary, body }: Page): string {
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${{ html: STYLE }}</style>
<main>
<h1>${title}</h1>
<p class="summary">${summary}</p>
${body}
</main>
</html>
`.html;
}
