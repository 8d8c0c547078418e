// Parallel coordinates: a line a point, better objectives up, a range that the table of points follows.
const kept = { axis: null, low: 0, high: 1 };
const VIRIDIS = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];

// An axis of the figure: where each point crosses it, 0 (below) to 1, and the texts beside it.
function verticalAxis(name, points) {
  const dimension = data.dimensions.find((one) => "choice:" + one.name === name);
  if (dimension) {
    const last = Math.max(dimension.labels.length - 1, 1);
    const order = dimension.numeric ? [...dimension.labels].sort((a, b) => a - b) : dimension.labels;
    return { name, title: dimension.name.replace("arithmetic.", ""), choice: true, at: (point) => order.indexOf(along(point, name)) / last,
      marks: thinned(order.map((label, at) => [at / last, shortened(number(label), 16)])) };
  }
  const measure = measures.get(name);
  const values = points.map((point) => valueOf(point, name));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const share = (value) => (high === low ? 0.5 : (value - low) / (high - low));
  const up = measure.better === "maximize";
  return { name, title: name, choice: false, at: (point) => (up ? share(valueOf(point, name)) : 1 - share(valueOf(point, name))),
    marks: low === high ? [[0.5, quantity(low, measure.unit)]] : [[up ? 0 : 1, quantity(low, measure.unit)], [up ? 1 : 0, quantity(high, measure.unit)]] };
}

const thinned = (marks) => (marks.length <= 8 ? marks : marks.filter((_, at) => at % Math.ceil(marks.length / 8) === 0 || at === marks.length - 1));

function setUpParallel() {
  const tint = document.getElementById("parallel-color");
  options(tint, [["state", "front or not"], ...axisChoices()], "state");
  tint.addEventListener("change", () => drawParallel());
  document.getElementById("parallel-clear").addEventListener("click", () => keep(null));
  drawParallel();
}

function keep(axis, low = 0, high = 1) {
  Object.assign(kept, { axis, low, high });
  filterPoints();
}

const inRange = (point) => kept.axis === null || (has(point, kept.axis.name) && kept.low <= kept.axis.at(point) && kept.axis.at(point) <= kept.high);
const has = (point, axis) => point.state !== "failed" && along(point, axis) !== null;

// Groups of points of one colour, drawn one after the other: [text, colour, points].
function tints(tint, points) {
  if (tint === "state") {
    return [["infeasible", color("infeasible")], ["feasible", color("feasible")], ["front", color("front")]]
      .map(([state, ink]) => [state === "front" ? "on the front" : state === "infeasible" ? "violates a constraint" : state, ink, points.filter((point) => point.state === state)]);
  }
  const dimension = data.dimensions.find((one) => "choice:" + one.name === tint);
  if (dimension && dimension.labels.length <= 8) {
    const scale = (at) => (dimension.numeric ? VIRIDIS[Math.round((at * 7) / Math.max(dimension.labels.length - 1, 1))] : series(at));
    return dimension.labels.map((label, at) => [number(label), scale(at), points.filter((point) => along(point, tint) === label)]);
  }
  const value = (point) => (dimension && !dimension.numeric ? dimension.labels.indexOf(along(point, tint)) : along(point, tint));
  const there = points.filter((point) => has(point, tint));
  const [low, high] = [Math.min(...there.map(value)), Math.max(...there.map(value))];
  const bin = (point) => Math.min(Math.floor((8 * (value(point) - low)) / (high - low || 1)), 7);
  const edge = (at) => quantity(low + ((high - low) * at) / 8, measures.get(tint)?.unit);
  return VIRIDIS.map((ink, at) => [`${edge(at)} to ${edge(at + 1)}`, ink, there.filter((point) => bin(point) === at)]);
}

function drawParallel() {
  const names = [...data.dimensions.filter((one) => one.labels.length > 1).map((one) => "choice:" + one.name), ...objectives.map((one) => one.name)];
  const points = data.points.filter((point) => names.every((name) => has(point, name)));
  const element = document.getElementById("parallel-figure");
  element.style.minWidth = 104 * names.length + "px";
  if (!points.length) return;
  const axes = names.map((name) => verticalAxis(name, points));
  // Lines that share a choice lie side by side.
  const height = (axis, point) => axis.at(point) + (axis.choice ? (((point.index * 0.618) % 1) - 0.5) * 0.03 : 0);
  const lit = points.filter((point) => !rows.get(point.index).hidden);
  const groups = tints(document.getElementById("parallel-color").value, lit).filter(([, , mine]) => mine.length);
  legend(document.getElementById("parallel-legend"), groups.map(([text, ink, mine]) => [`${text} (${mine.length})`, ink, "line"]));
  const lines = (mine, line, hovered) => ({
    type: "scatter", mode: "lines", line, hoverinfo: hovered ? "text" : "skip",
    x: mine.flatMap(() => [...axes.keys(), null]), y: mine.flatMap((point) => [...axes.map((axis) => height(axis, point)), null]),
    text: hovered ? mine.flatMap((point) => [...axes.map(() => hover(point)), ""]) : undefined, customdata: mine.flatMap((point) => [...axes.map(() => point.index), null]),
  });
  figure(element, () => ({
    traces: [
      lines(points.filter((point) => !lit.includes(point)), { color: color("line"), width: 1 }, false),
      ...groups.map(([, ink, mine]) => lines(mine, { color: ink, width: mine.length > 100 ? 1.2 : 1.8 }, true)),
    ],
    layout: {
      height: 430, dragmode: coarse.matches ? false : "select", margin: { l: 30, r: 30, t: 46, b: 30 },
      xaxis: { side: "top", tickvals: [...axes.keys()], ticktext: axes.map((axis) => plain(shortened(axis.title, 17))), range: [-0.35, axes.length - 0.55], fixedrange: true, showgrid: true, gridcolor: color("soft"), zeroline: false, ticks: "" },
      yaxis: { visible: false, range: [-0.06, 1.06], fixedrange: true, automargin: false },
      annotations: axes.flatMap((axis, at) => axis.marks.map(([place, text]) => ({ x: at, y: place, text: plain(text), showarrow: false, xanchor: "left", xshift: 4, font: { size: 11, color: color("ink") }, bgcolor: color("paper"), borderpad: 1, opacity: 0.9 }))),
    },
    ready: () => {
      element.on("plotly_selected", (event) => {
        if (!event?.range?.x) return;
        const [from, to] = event.range.x;
        const at = Math.min(Math.max(Math.round((from + to) / 2), 0), axes.length - 1);
        keep(axes[at], Math.min(...event.range.y) - 0.02, Math.max(...event.range.y) + 0.02);
      });
      element.on("plotly_deselect", () => keep(null));
      element.on("plotly_click", (event) => openPoint(event.points[0].customdata));
    },
  }));
}
