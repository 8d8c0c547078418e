// The table that is in the page already: sorting, filtering, opening.
const rows = new Map();

function opener(point, text) {
  return el("button", { type: "button", class: "open", onclick: () => openPoint(point.index), "aria-label": `Open point ${point.index}` }, text ?? "#" + point.index);
}

function setUpPoints() {
  const holder = document.getElementById("points-table");
  for (const row of holder.querySelectorAll("tbody tr")) rows.set(Number(row.dataset.index), row);
  for (const cell of document.querySelectorAll("td[data-open]")) {
    const point = byIndex.get(Number(cell.dataset.open));
    cell.replaceChildren(opener(point));
  }
  for (const head of holder.querySelectorAll("th[data-key]")) {
    head.replaceChildren(el("button", { type: "button", onclick: () => sortBy(head) }, ...head.childNodes));
  }
  document.getElementById("points-filter").addEventListener("input", filterPoints);
  document.getElementById("points-state").addEventListener("change", filterPoints);
}

function keyOf(point, key) {
  if (key === "index") return point.index;
  if (key === "state") return ["front", "feasible", "infeasible", "failed"].indexOf(point.state);
  return along(point, key);
}

function sortBy(head) {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const key = head.dataset.key;
  const order = (a, b) => {
    const [x, y] = [keyOf(a, key), keyOf(b, key)];
    if (x === null || y === null) return (x === null) - (y === null); // what has no value is last either way
    const step = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return (rising ? step : -step) || a.index - b.index;
  };
  const body = document.querySelector("#points-table tbody");
  body.append(...[...data.points].sort(order).map((point) => rows.get(point.index)));
}

// "word" or "name<number": what a row must have.
function condition(term) {
  const parts = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(term);
  if (!parts) return (point, row) => row.textContent.toLowerCase().includes(term);
  const [, name, sign, text] = parts;
  const axis = [...data.measures.map((one) => one.name), ...data.dimensions.map((one) => "choice:" + one.name)]
    .find((one) => one.toLowerCase() === name || one.toLowerCase() === "choice:" + name || one.toLowerCase() === "choice:arithmetic." + name);
  if (!axis) return () => false;
  const wanted = Number(text);
  return (point) => {
    const value = along(point, axis);
    if (value === null) return false;
    if (typeof value !== "number" || Number.isNaN(wanted)) return sign === "=" && String(value).toLowerCase() === text;
    return { "<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted, "=": value === wanted }[sign];
  };
}

function filterPoints() {
  const state = document.getElementById("points-state").value;
  const terms = document.getElementById("points-filter").value.toLowerCase().split(/\s+/).filter(Boolean).map(condition);
  let count = 0;
  for (const point of data.points) {
    const row = rows.get(point.index);
    row.hidden = !((!state || point.state === state) && inRange(point) && terms.every((holds) => holds(point, row)));
    count += !row.hidden;
  }
  document.getElementById("points-count").textContent = `${count} of ${data.points.length} points.`;
  if (data.points.length) drawParallel();
}
