// All points in two measures, with the front of these two.
function frontOf(points, x, y) {
  // Measures have a direction; where an axis is a dimension there is no front.
  if (!measures.has(x) || !measures.has(y) || x === y) return [];
  const sign = (name) => (measures.get(name).better === "minimize" ? 1 : -1);
  const ranked = points.filter((point) => point.state === "front" || point.state === "feasible")
    .map((point) => [sign(x) * along(point, x), sign(y) * along(point, y), point])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2].index - b[2].index);
  const front = [];
  for (const [, height, point] of ranked) if (!front.length || height < front.at(-1)[0]) front.push([height, point]);
  return front.map(([, point]) => point);
}

function hover(point) {
  const lines = [`<b>#${point.index}</b> ${point.state}`];
  data.dimensions.forEach((one, at) => lines.push(plain(one.name) + ": " + plain(number(one.labels[point.choices[at]]))));
  for (const measure of objectives) if (point.values[measure.name]) lines.push(plain(measure.name) + ": <b>" + plain(valueText(point, measure.name)) + "</b>");
  for (const sentence of point.violations) lines.push("✗ " + plain(shortened(sentence, 70)));
  return lines.join("<br>");
}

// What is said of each point, and which others lie in the same place.
function hovers(points, x, y, all) {
  const places = new Map();
  const key = (point) => along(point, x) + " " + along(point, y);
  for (const point of all) places.set(key(point), [...(places.get(key(point)) ?? []), point.index]);
  return points.map((point) => {
    const others = places.get(key(point)).filter((index) => index !== point.index);
    const more = others.length > 6 ? " …" : "";
    return hover(point) + (others.length ? `<br>in the same place: ${others.slice(0, 6).map((index) => "#" + index).join(" ")}${more}` : "");
  });
}

function axisChoices() {
  return [...data.measures.map((one) => [one.name, one.name + (one.objective ? " (objective)" : "")]),
    ...data.dimensions.map((one) => ["choice:" + one.name, one.name + " (dimension)"])];
}

// In the order in which they are drawn: the front above all others.
const STATES = { infeasible: ["violates a constraint", "infeasible", "x"], feasible: ["feasible", "feasible", "circle"], front: ["on the study’s front", "front", "diamond"] };

function setUpFront() {
  const [x, y, tint] = ["front-x", "front-y", "front-color"].map((id) => document.getElementById(id));
  const logs = ["front-log-x", "front-log-y"].map((id) => document.getElementById(id));
  const names = objectives.length > 1 ? objectives : data.measures;
  options(x, axisChoices(), (names[1] ?? names[0]).name);
  options(y, axisChoices(), names[0].name);
  options(tint, [["", "by state"], ...axisChoices()], "");
  const update = () => drawFront(x.value, y.value, tint.value, logs.map((box) => box.checked));
  for (const control of [x, y, tint, ...logs]) control.addEventListener("change", update);
  update();
}

function drawFront(x, y, tint, logs) {
  const shown = data.points.filter((point) => point.state !== "failed" && along(point, x) !== null && along(point, y) !== null);
  const hidden = data.points.filter((point) => !shown.includes(point));
  const front = frontOf(shown, x, y);
  const groups = Object.entries(STATES).map(([state, look]) => [state, look, shown.filter((point) => point.state === state)]).filter((one) => one[2].length);
  const entries = groups.map(([, [text, ink, shape], points]) => [`${text} (${points.length})`, tint ? color("soft") : color(ink), shape]);
  if (front.length) entries.push([`front of these two (${front.length})`, color("front"), "line"]);
  legend(document.getElementById("front-legend"), [...entries, ...tintLegend(tint)]);
  const caption = document.getElementById("front-caption");
  caption.replaceChildren("Click a point to open it. ");
  if (hidden.length) {
    caption.append(`${hidden.length} point${hidden.length > 1 ? "s" : ""} without these values (failed): `);
    hidden.slice(0, 40).forEach((point) => caption.append(opener(point), " "));
    if (hidden.length > 40) caption.append("…");
  }
  figure(document.getElementById("front-figure"), () => ({
    traces: [
      { type: "scatter", mode: "lines", x: front.map((point) => along(point, x)), y: front.map((point) => along(point, y)), line: { color: color("front"), width: 2 }, hoverinfo: "skip" },
      ...groups.map(([state, [, ink, shape], points]) => ({
        type: "scatter", mode: "markers", x: points.map((point) => along(point, x)), y: points.map((point) => along(point, y)),
        customdata: points.map((point) => point.index), text: hovers(points, x, y, shown), hoverinfo: "text",
        marker: { symbol: shape, size: state === "front" ? 11 : 8, line: { width: shape === "x" ? 0 : 1, color: color("paper") }, ...tinted(points, tint, color(ink)) },
      })),
    ],
    layout: { height: 480, modebar: {}, margin: { l: 10, r: 12, t: 36, b: 10 }, coloraxis: tintBar(tint), xaxis: axisLayout(x, logs[0], shown), yaxis: axisLayout(y, logs[1], shown) },
    ready: (element) => element.on("plotly_click", (event) => {
      const index = event.points.map((one) => one.customdata).find((one) => one !== undefined);
      if (index !== undefined) openPoint(index);
    }),
  }));
}

function axisLayout(axis, log, points) {
  const measure = measures.get(axis);
  const dimension = measure ? null : data.dimensions.find((one) => "choice:" + one.name === axis);
  const kind = dimension && !dimension.numeric ? "category" : log ? "log" : "linear";
  return { title: { text: plain(axisTitle(axis)) }, type: kind, tickformat: measure?.unit === "share" ? ".1%" : undefined, exponentformat: "none", ...(kind === "log" ? logTicks(points.map((point) => along(point, axis)), (value) => quantity(value, measure?.unit === "share" ? "share" : "")) : {}) };
}

// A colour a point: of its label, or on a scale that a bar explains.
function tinted(points, axis, otherwise) {
  if (!axis) return { color: otherwise };
  const dimension = data.dimensions.find((one) => "choice:" + one.name === axis);
  if (dimension && !dimension.numeric) return { color: points.map((point) => series(dimension.labels.indexOf(along(point, axis)))) };
  return { color: points.map((point) => along(point, axis)), coloraxis: "coloraxis" };
}

function tintBar(axis) {
  if (!axis) return undefined;
  return { colorscale: "Viridis", colorbar: { title: { text: plain(axisTitle(axis).split(" (")[0]), side: "right", font: { size: 12 } }, thickness: 12, tickformat: measures.get(axis)?.unit === "share" ? ".1%" : undefined } };
}

function tintLegend(axis) {
  const dimension = data.dimensions.find((one) => "choice:" + one.name === axis);
  return dimension && !dimension.numeric ? dimension.labels.map((label, at) => [label, series(at), "square"]) : [];
}
