// Two points, field by field and layer by layer.
function setUpComparison() {
  const [a, b] = ["compare-a", "compare-b"].map((id) => document.getElementById(id));
  const good = data.points.filter((point) => point.state === "front");
  const pool = good.length > 1 ? good : data.points;
  for (const [select, point] of [[a, pool[0]], [b, pool.at(-1)]]) {
    options(select, data.points.map((one) => [one.index, pointName(one)]), point.index);
    select.addEventListener("change", showComparison);
  }
  showComparison();
}

async function showComparison() {
  const [a, b] = ["compare-a", "compare-b"].map((id) => byIndex.get(Number(document.getElementById(id).value)));
  const layers = el("div", {});
  document.getElementById("compare-body").replaceChildren(el("div", { class: "two" }, comparedValues(a, b), comparedFields(a, b)), layers);
  try {
    const found = await details();
    if (document.body.contains(layers)) compareLayers(layers, a, b, found);
  } catch (error) {
    layers.append(el("p", { class: "alert" }, "The layers cannot be shown: " + error.message));
  }
}

const twoHeads = (a, b, first) => [{ text: first }, { text: "A #" + a.index, number: true }, { text: "B #" + b.index, number: true }, { text: "B against A", number: true }];

function against(a, b) {
  if (a === null || b === null) return "–";
  if (a === b) return "equal";
  return a === 0 ? signed(b - a, number) : signed((b - a) / Math.abs(a), percent);
}

function comparedValues(a, b) {
  const rows = data.measures.filter(({ name }) => name in a.values || name in b.values).map(({ name }) => {
    const [x, y] = [a, b].map((point) => valueOf(point, name));
    const show = (point) => (name in point.values ? valueText(point, name) : "–");
    return { cells: [name, show(a), show(b), { text: against(x, y), class: x === y ? "" : "differs" }] };
  });
  return el("div", {}, table("Measures (≈ estimate, * model)", twoHeads(a, b, "measure"), rows));
}

function comparedFields(a, b) {
  const [x, y] = [configOf(a), configOf(b)];
  const rows = Object.keys(data.defaults).filter((name) => x[name] !== y[name]).map((name) => ({ cells: [name, { text: shownField(x[name]), class: "differs" }, { text: shownField(y[name]), class: "differs" }] }));
  if (!rows.length) return el("p", { class: "soft" }, "Both have the same configuration.");
  return el("div", {}, table("Fields that differ; the others are equal", twoHeads(a, b, "field").slice(0, 3), rows));
}

function compareLayers(holder, a, b, found) {
  const [left, right] = [a, b].map((point) => new Map(layerRows(found.get(point.index).layers).map((row) => [row.name, row])));
  if (!left.size || !right.size) {
    holder.append(el("p", { class: "soft" }, "The layers of one of them were not run."));
    return;
  }
  const names = [...new Set([...left.keys(), ...right.keys()])];
  const memories = [...new Set([a, b].flatMap((point) => memoriesOf(found.get(point.index).layers)))];
  const get = (rows, name, key) => rows.get(name)?.[key] ?? null;
  const heads = [{ text: "layer" }, { text: "cycles", unit: "A", number: true }, { text: "cycles", unit: "B", number: true }, { text: "B against A", number: true }, { text: "utilization", unit: "A", number: true }, { text: "utilization", unit: "B", number: true },
    { text: "bound", unit: "A" }, { text: "bound", unit: "B" }, { text: "bus bytes", unit: "A", number: true }, { text: "bus bytes", unit: "B", number: true }, { text: "energy", unit: "A, nJ", number: true }, { text: "energy", unit: "B, nJ", number: true }];
  const pair = (name, key, show) => {
    const [x, y] = [get(left, name, key), get(right, name, key)];
    return [show(x), { text: show(y), class: x === y ? "" : "differs" }];
  };
  const energy = (rows, name) => (memories.length && rows.has(name) ? number(energyOf(rows.get(name), memories) / 1000) : "–");
  const made = names.map((name) => {
    const [x, y] = [get(left, name, "cycles"), get(right, name, "cycles")];
    const [p, q] = [energy(left, name), energy(right, name)];
    return { cells: [name, ...pair(name, "cycles", number), against(x, y), ...pair(name, "utilization", percent), ...pair(name, "bound", (text) => text ?? "–"), ...pair(name, "bytes_moved", number), p, { text: q, class: p === q ? "" : "differs" }] };
  });
  const [key, element] = [el("div", { class: "legend" }), el("div", { class: "figure", role: "img", "aria-label": "Cycles of each layer at both points; the table has the numbers" })];
  holder.append(el("h3", {}, "Layer by layer"), table("Layers of both; what differs is marked", heads, made), el("h3", {}, "Cycles of each layer"), key, element);
  const both = [[`A #${a.index}`, left], [`B #${b.index}`, right]];
  legend(key, both.map(([text], at) => [text, series(at), "square"]));
  figure(element, () => ({
    traces: both.map(([text, rows], at) => ({ type: "bar", orientation: "h", y: names.map((_, place) => place), x: names.map((name) => get(rows, name, "cycles")), marker: { color: series(at) },
      text: names.map((name) => `${plain(name)}<br>${text}: ${number(get(rows, name, "cycles"))} cycles`), hoverinfo: "text", textposition: "none" })),
    layout: { height: 100 + 34 * names.length, barmode: "group", xaxis: { title: { text: "cycles" }, exponentformat: "none" }, yaxis: layerAxis(names) },
  }));
}
