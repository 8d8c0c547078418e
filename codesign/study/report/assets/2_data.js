// The study's data, and what is unpacked only when it is needed.
const data = JSON.parse(document.getElementById("data").textContent);
const byIndex = new Map(data.points.map((point) => [point.index, point]));
const measures = new Map(data.measures.map((measure) => [measure.name, measure]));
const objectives = data.measures.filter((measure) => measure.objective);
const loaded = {};

async function unpacked(id) {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot unpack the figures: it is older than May 2023");
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function details() {
  loaded.details ??= unpacked("details").then((text) => new Map(JSON.parse(text).map((one, at) => [data.points[at].index, one])));
  return loaded.details;
}

function plotly() {
  loaded.plotly ??= unpacked("plotly").then((text) => {
    const script = Object.assign(document.createElement("script"), { textContent: text });
    document.head.append(script);
    script.remove();
    return window.Plotly;
  });
  return loaded.plotly;
}

function valueOf(point, name) {
  const found = point.values[name];
  return found ? found[0] : null;
}

// A measure's or a dimension's number at a point, for an axis.
function along(point, axis) {
  if (measures.has(axis)) return valueOf(point, axis);
  const at = data.dimensions.findIndex((one) => "choice:" + one.name === axis);
  const label = data.dimensions[at].labels[point.choices[at]];
  return label;
}

function axisTitle(axis) {
  const measure = measures.get(axis);
  if (!measure) return axis.replace("choice:", "");
  const unit = measure.unit && measure.unit !== "share" && measure.unit !== measure.name ? ", " + measure.unit : "";
  return measure.name + unit + (measure.better === "minimize" ? " (less is better)" : " (more is better)");
}

function choicesText(point) {
  return data.dimensions.map((one, at) => one.name.replace("arithmetic.", "") + " " + number(one.labels[point.choices[at]])).join(", ");
}

function pointName(point) {
  return "#" + point.index + " (" + point.state + ") " + choicesText(point);
}

function valueText(point, name) {
  const [value, kind, error] = point.values[name];
  const mark = kind === "estimate" ? "≈" + THIN : "";
  return mark + quantity(value, measures.get(name).unit) + (error !== null ? " ±" + THIN + percent(error) : "") + (kind === "model" ? " *" : "");
}
