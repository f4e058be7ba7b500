/** HTML that cannot be broken by what stands in it. Ours, since a template engine would be more to learn than these lines are. */

export interface Html {
  readonly html: string;
}

type Part = Html | string | number | undefined | false | readonly Part[];

/** Every part is escaped, as text or inside a quoted attribute, unless it is `Html` itself; `undefined` and `false` are nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { html: strings.map((text, i) => text + (i < parts.length ? textOf(parts[i]) : "")).join("") };
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return "";
  if (typeof part === "string" || typeof part === "number") return escaped(String(part));
  return "html" in part ? part.html : part.map(textOf).join("");
}

export function escaped(text: string): string {
  return text.replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const PICTURE = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/;

/** A picture that is inside the page; nothing where the address leads elsewhere or is none of a picture. */
export function picture(address: string | undefined, alt: string): Html | undefined {
  return address !== undefined && PICTURE.test(address)
    ? html`<img src="${address}" alt="${alt}" loading="lazy">`
    : undefined;
}

export interface Table {
  readonly head: readonly Part[];
  readonly rows: readonly (readonly Part[])[];
}

/** Columns of numbers go to the right. On a narrow screen the table scrolls, not the page. */
export function table({ head, rows }: Table): Html {
  const figures = head.map((_, column) => rows.length > 0 && rows.every((row) => isFigure(row[column])));
  const side = (column: number): Html | false => figures[column] === true && html` class="figure"`;
  return html`<div class="scroll"><table><thead><tr>${head.map((cell, i) => html`<th${side(i)}>${cell}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td${side(i)}>${cell}</td>`)}</tr>\n`)}</tbody></table></div>`;
}

/** A number, with its sign, unit or interval. */
const isFigure = (cell: Part): boolean =>
  typeof cell === "number" || (typeof cell === "string" && /^([+−-]?[\d.,]+( ?%)?( \(.*\))?|[–-]?)$/.test(cell));
