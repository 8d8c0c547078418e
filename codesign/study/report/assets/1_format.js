// Numbers, elements and names. Text from outside only ever becomes a text node: no HTML is made of it.
const THIN = "\u202f";

function grouped(text) {
  const [whole, rest] = text.split(".");
  const sign = whole.startsWith("-") ? "−" : "";
  const digits = whole.replace("-", "");
  return sign + digits.replace(/\B(?=(\d{3})+(?!\d))/g, THIN) + (rest ? "." + rest : "");
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return grouped(String(value));
  const size = Math.abs(value);
  if (size >= 1000) return grouped(value.toFixed(0));
  if (size < 0.001) return value.toExponential(2);
  return grouped(String(Number(value.toPrecision(4))));
}

function percent(share, digits = 1) {
  return share === null || share === undefined ? "–" : (100 * share).toFixed(digits) + THIN + "%";
}

function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return percent(value, 2);
  return number(value) + (unit ? THIN + unit : "");
}

function signed(value, show) {
  if (value === 0) return "0";
  return (value > 0 ? "+" : "−") + show(Math.abs(value));
}

// el("td", {class: "number"}, child, …): strings are text.
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function table(caption, heads, rows) {
  // heads: [{text, unit, number}], rows: [{cells: [text, element or {text, class}], class}]
  const kind = (at) => (heads[at].number ? "number" : heads[at].wrap ? "wrap" : null);
  const cell = (content, at) => {
    const rich = content !== null && typeof content === "object" && !(content instanceof Node);
    const names = [kind(at), rich ? content.class : null].filter(Boolean).join(" ");
    return el("td", { class: names || null }, rich ? content.text : content === null || content === undefined ? "–" : content);
  };
  return el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    el("table", {}, el("caption", {}, caption),
      el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: kind(at) }, head.text, head.unit ? el("small", {}, head.unit) : null)))),
      el("tbody", {}, rows.map((row) => el("tr", { class: row.class }, row.cells.map(cell))))));
}

function options(select, choices, chosen) {
  select.replaceChildren(...choices.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)));
}

function shortened(text, most) {
  if (text.length <= most) return text;
  const half = (most - 1) >> 1;
  return text.slice(0, most - 1 - half) + "…" + text.slice(text.length - half);
}
