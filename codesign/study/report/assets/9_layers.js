// A point's layers: the table, the roofline, energy, memory and time.
const BOUNDS = { compute: ["array or post-processing busy", 2], bus: ["the bus busy", 1], shape: ["elements unused", 3], latency: ["steps wait", 0] };

// From columns to one object a layer.
function layerRows(columns) {
  const names = Object.keys(columns);
  return (columns.name ?? []).map((_, at) => Object.fromEntries(names.map((name) => [name, columns[name][at]])));
}

const total = (rows, name) => rows.reduce((sum, row) => sum + (row[name] ?? 0), 0);
const energyOf = (row, memories) => memories.reduce((sum, name) => sum + (row["energy." + name] ?? 0), 0);
const memoriesOf = (columns) => Object.keys(columns).filter((name) => name.startsWith("energy.")).map((name) => name.slice(7));

function showLayers(holder, point, found) {
  const layers = layerRows(found.layers);
  if (!layers.length) {
    holder.append(el("p", { class: "soft" }, "Its layers were not run."));
    return;
  }
  const memories = memoriesOf(found.layers);
  holder.append(el("h3", {}, "Layers"), layerTable(layers, memories));
  section(holder, "Roofline", "Multiplications a cycle against multiplications per byte of the busier direction of the bus. All that the array does for a layer lies in the layer’s cycles; loads ahead and stores behind may lie in another’s, so that one can stand above the sloping roof. Layers that multiply nothing have no place here.", (element, key) => roofline(element, key, point, layers));
  const energies = memories.map((name) => [name.replace(/_/g, " "), (row) => (row["energy." + name] ?? 0) / 1000]);
  if (memories.length) section(holder, "Energy", "Exact accesses times published energies (a model).", (element, key) => stacked(element, key, layers, energies, "nJ"));
  section(holder, "Bytes on the bus", "Whole words of the bus, one sample.", (element, key) => stacked(element, key, layers, [["read", (row) => row.bytes_read], ["written", (row) => row.bytes_written], ["instructions", (row) => row.bytes_fetched ?? 0]], "bytes"));
  if (found.timeline.start?.length) section(holder, "Timeline", "What each unit worked on. Colours tell neighbouring layers apart; gaps shorter than a thousandth of the run are not drawn.", (element, key) => timeline(element, key, found.timeline));
}

function section(holder, title, words, draw) {
  const [key, element] = [el("div", { class: "legend" }), el("div", { class: "figure", role: "img", "aria-label": `${title} of the layers; the table of layers has its numbers` })];
  holder.append(el("h3", {}, title), el("p", { class: "soft" }, words), key, element);
  draw(element, key);
}

function layerTable(layers, memories) {
  const cycles = total(layers, "cycles");
  // Where the training gives each layer its own.
  const bits = [["weights", "weight_bits"], ["codes", "activation_bits"]].filter(([, name]) => layers.some((row) => typeof row[name] === "number"));
  const heads = [{ text: "layer" }, { text: "operators" }, ...bits.map(([text]) => ({ text, unit: "bits", number: true })), { text: "cycles", number: true }, { text: "share", number: true }, { text: "utilization", number: true }, { text: "bound by" },
    { text: "multiplications", number: true }, { text: "read", unit: "bytes", number: true }, { text: "written", unit: "bytes", number: true }, { text: "fetched", unit: "bytes", number: true }, { text: "energy", unit: "nJ, model", number: true }, { text: "why", wrap: true }];
  const longest = Math.max(...layers.map((row) => row.cycles));
  const made = layers.map((row) => {
    const [, at] = BOUNDS[row.bound] ?? ["", 7];
    return { cells: [row.name, row.operator ?? "–", ...bits.map(([, name]) => number(row[name])), number(row.cycles), el("span", {}, percent(row.cycles / cycles), el("span", { class: "bar", style: `width:${(3 * row.cycles / longest).toFixed(2)}em` })),
      row.macs ? percent(row.utilization) : "–", el("span", {}, el("span", { class: "swatch", style: `background:var(--c${at})` }), row.bound ?? "–"), number(row.macs), number(row.bytes_read), number(row.bytes_written), number(row.bytes_fetched),
      memories.length ? number(energyOf(row, memories) / 1000) : "–", row.reason ?? "–"] };
  });
  made.push({ class: "sum", cells: [el("b", {}, "all"), "", ...bits.map(() => ""), number(cycles), percent(1), "", "", number(total(layers, "macs")), number(total(layers, "bytes_read")), number(total(layers, "bytes_written")), number(total(layers, "bytes_fetched")),
    memories.length ? number(layers.reduce((sum, row) => sum + energyOf(row, memories), 0) / 1000) : "–", ""] });
  return table("What each layer costs, in the order in which they end", heads, made);
}

function roofline(element, key, point, layers) {
  const config = configOf(point);
  const peak = config.rows * config.columns;
  const busy = (row) => Math.max((row.bytes_read ?? 0) + (row.bytes_fetched ?? 0), row.bytes_written ?? 0);
  const shown = layers.filter((row) => row.macs > 0 && row.cycles > 0 && busy(row) > 0);
  const at = (row) => [row.macs / busy(row), row.macs / row.cycles];
  const ridge = peak / config.bus_bytes;
  const [left, right] = [Math.min(ridge / 4, ...shown.map((row) => at(row)[0])) / 1.5, Math.max(ridge * 4, ...shown.map((row) => at(row)[0])) * 1.5];
  const present = Object.keys(BOUNDS).filter((kind) => shown.some((row) => row.bound === kind));
  legend(key, [...present.map((kind) => [`${kind}: ${BOUNDS[kind][0]}`, series(BOUNDS[kind][1]), "circle"]), [`roofs: ${number(peak)} multiplications a cycle, ${config.bus_bytes} bytes a cycle and direction`, color("soft"), "line"]]);
  figure(element, () => ({
    traces: [
      { type: "scatter", mode: "lines", x: [left, ridge, right], y: [left * config.bus_bytes, peak, peak], line: { color: color("soft"), width: 2 }, hoverinfo: "skip" },
      ...present.map((kind) => {
        const mine = shown.filter((row) => row.bound === kind);
        return { type: "scatter", mode: "markers", x: mine.map((row) => at(row)[0]), y: mine.map((row) => at(row)[1]), hoverinfo: "text",
          text: mine.map((row) => `<b>${plain(row.name)}</b><br>${number(at(row)[1])} multiplications a cycle<br>${number(at(row)[0])} per byte<br>${plain(row.reason ?? kind)}`),
          marker: { size: 11, color: series(BOUNDS[kind][1]), line: { width: 1, color: color("paper") } } };
      }),
    ],
    layout: { height: 400, modebar: {}, margin: { l: 10, r: 12, t: 36, b: 10 },
      xaxis: { type: "log", title: { text: "multiplications per byte" }, ...logTicks([left, right]) }, yaxis: { type: "log", title: { text: "multiplications a cycle" }, ...logTicks([peak, ...shown.map((row) => at(row)[1])]) } },
  }));
}

function stacked(element, key, layers, parts, unit) {
  const names = layers.map((row) => row.name);
  // The largest first: where there are more parts than colours, those of the second round are small, and hatched.
  const sum = (value) => layers.reduce((so, row) => so + value(row), 0);
  const used = parts.filter(([, value]) => sum(value) > 0).sort((a, b) => sum(b[1]) - sum(a[1]));
  legend(key, used.map(([name, value], at) => [`${name}: ${quantity(sum(value), unit)}`, series(at), at < 8 ? "square" : "hatched"]));
  figure(element, () => ({
    traces: used.map(([name, value], at) => ({ type: "bar", orientation: "h", name: plain(name), y: names.map((_, place) => place), x: layers.map(value), marker: { color: series(at), pattern: { shape: at < 8 ? "" : "/", fillmode: "overlay", fgcolor: color("paper") } },
      text: layers.map((row) => `${plain(row.name)}: ${plain(name)} ${quantity(value(row), unit)}`), hoverinfo: "text", textposition: "none" })),
    layout: { height: 90 + 22 * names.length, barmode: "stack", xaxis: { title: { text: unit }, exponentformat: "none" }, yaxis: layerAxis(names) },
  }));
}

function layerAxis(names) {
  return { autorange: "reversed", tickvals: names.map((_, at) => at), ticktext: names.map((name) => plain(shortened(name, 18))), tickfont: { size: 11 } };
}

// Cycles that stretches cover, where they overlap once.
function covered(stretches) {
  let [sum, reached] = [0, 0];
  for (const [start, end] of [...stretches].sort((a, b) => a[0] - b[0])) {
    sum += Math.max(end - Math.max(start, reached), 0);
    reached = Math.max(reached, end);
  }
  return sum;
}

function timeline(element, key, found) {
  const units = found.units;
  const busy = units.map((_, at) => covered(found.start.map((start, i) => [start, start + found.length[i], found.unit[i]]).filter((one) => one[2] === at)));
  const end = Math.max(...found.start.map((start, at) => start + found.length[at]));
  key.replaceChildren(...units.map((unit, at) => el("span", {}, `${unit.toLowerCase()}: ${percent(busy[at] / end, 0)} of the cycles`)));
  figure(element, () => ({
    traces: [{ type: "bar", orientation: "h", base: found.start, x: found.length, y: found.unit, width: 0.8, marker: { color: found.layer.map((at) => series(at)), line: { width: 0 } },
      text: found.start.map((start, at) => `<b>${plain(found.layers[found.layer[at]])}</b><br>${plain(units[found.unit[at]])}<br>cycles ${number(start)} to ${number(start + found.length[at])}`), hoverinfo: "text", textposition: "none" }],
    layout: { height: 130 + 42 * units.length, modebar: {}, margin: { l: 10, r: 12, t: 36, b: 10 }, barmode: "overlay", bargap: 0.1, xaxis: { title: { text: "cycle" }, range: [0, end], exponentformat: "none" },
      yaxis: { autorange: "reversed", tickvals: units.map((_, at) => at), ticktext: units.map((unit) => plain(unit.toLowerCase().replace("_", " "))) } },
  }));
}
