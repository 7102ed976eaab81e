// Elements made of text. What comes from the chain is other people's: it becomes text nodes and nothing else, control and
// direction characters are shown as what they are not (U+FFFD), and it is cut.

export const TEXT_MAX = 2000;
const LINES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const MARKS = /(\p{M}{4})\p{M}+/gu; // more than a language stacks on one letter

export function clean(text, max = TEXT_MAX) {
  const whole = String(text).slice(0, max + 1);
  const safe = whole.replace(LINES, "\ufffd").replace(MARKS, "$1");
  return whole.length > max ? `${safe.slice(0, max)}… (cut)` : safe;
}

// h("a", { href: "#/", class: "x" }, "text", element, [more], null)
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  put(element, children);
  return element;
}

function put(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) put(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(document.createTextNode(clean(child)));
  }
}

// Only ways within these pages are made into links: kind is ours, id is escaped.
export const link = (kind, id, shown, title) =>
  h("a", { href: `#/${kind}/${encodeURIComponent(id)}`, title: title === undefined ? null : clean(title, 200) }, shown);

export const section = (title, ...children) => h("section", {}, title ? h("h2", {}, title) : null, children);

export const facts = (...rows) =>
  h("dl", {}, rows.filter(Boolean).map(([name, ...value]) => [h("dt", {}, name), h("dd", {}, value)]));

// columns: [title, class]; rows: of cells, or { cells, fresh }.
export function table(caption, columns, rows, empty) {
  if (!rows.length) return h("p", { class: "hint" }, empty);
  const line = (row) => {
    const cells = row.cells ?? row;
    return h("tr", { class: row.fresh ? "fresh" : null }, cells.map((cell, at) => h("td", { class: columns[at][1] ?? null }, cell)));
  };
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { scope: "col", class: kind ?? null }, title)))),
      h("tbody", {}, rows.map(line))));
}
