// One point: what it is, what it is worth, what its layers do.
function setUpPoint() {
  const select = document.getElementById("point-select");
  options(select, data.points.map((point) => [point.index, pointName(point)]), "");
  select.addEventListener("change", () => showPoint(Number(select.value)));
  document.getElementById("point-compare").addEventListener("click", () => {
    document.getElementById("compare-a").value = select.value;
    showComparison();
    document.getElementById("compare").scrollIntoView();
  });
  window.addEventListener("hashchange", openAsked);
  if (!openAsked()) showPoint((data.points.find((point) => point.state === "front") ?? data.points[0]).index);
}

// The page's address may name a point: report.html#point-12.
function openAsked() {
  const asked = /^#point-(\d+)$/.exec(location.hash);
  if (!asked || !byIndex.has(Number(asked[1]))) return false;
  openPoint(Number(asked[1]));
  return true;
}

function openPoint(index) {
  showPoint(index);
  history.replaceState(null, "", "#point-" + index);
  document.getElementById("point").scrollIntoView();
  document.getElementById("point-select").focus({ preventScroll: true });
}

async function showPoint(index) {
  const point = byIndex.get(index);
  document.getElementById("point-select").value = index;
  for (const row of rows.values()) row.classList.toggle("chosen", Number(row.dataset.index) === index);
  const body = document.getElementById("point-body");
  const layers = el("div", {});
  body.replaceChildren(...verdict(point), el("div", { class: "two" }, el("div", {}, valuesTable(point)), el("div", {}, configTables(point))), reproduction(point), layers);
  try {
    const found = (await details()).get(index);
    if (body.contains(layers)) showLayers(layers, point, found);
  } catch (error) {
    layers.append(el("p", { class: "alert" }, "The layers cannot be shown: " + error.message));
  }
}

function verdict(point) {
  const made = [el("p", {}, el("b", {}, `Point ${point.index}`), ` · ${point.state === "front" ? "on the front" : point.state}${point.cached ? " · nothing had to be computed" : ""}`)];
  if (point.failure) made.push(el("p", { class: "alert" }, "Failed: " + point.failure));
  for (const sentence of point.violations) made.push(el("p", { class: "alert" }, sentence));
  return made;
}

function tag(kind) {
  return el("span", { class: "tag tag-" + kind }, kind);
}

function valuesTable(point) {
  const names = data.measures.map((one) => one.name).filter((name) => name in point.values);
  const made = names.map((name) => {
    const [value, kind, error, source] = point.values[name];
    return { cells: [name, quantity(value, measures.get(name).unit), el("span", {}, tag(kind), error !== null ? " ±" + THIN + percent(error) : ""), source || "–"] };
  });
  if (point.test_accuracy !== null) made.push({ cells: ["test accuracy", percent(point.test_accuracy, 2), tag("exact"), "test data, looked at once"] });
  if (!made.length) return el("p", { class: "soft" }, "It has no values.");
  return table("What it is worth", [{ text: "measure" }, { text: "value", number: true }, { text: "standing" }, { text: "from" }], made);
}

function shownField(value) {
  return typeof value === "boolean" ? (value ? "yes" : "no") : value === null ? "none" : number(value);
}

function configOf(point) {
  return { ...data.defaults, ...point.config };
}

function configTables(point) {
  const heads = [{ text: "field" }, { text: "here", number: true }, { text: "default", number: true }];
  const row = (name) => ({ cells: [name, { text: shownField(configOf(point)[name]), class: name in point.config ? "differs" : "" }, shownField(data.defaults[name])] });
  const differing = Object.keys(point.config);
  return [differing.length ? table("Fields that are not the default’s", heads, differing.map(row)) : el("p", { class: "soft" }, "All fields are the default’s."),
    el("details", {}, el("summary", {}, "All fields"), table("Configuration", heads, Object.keys(data.defaults).map(row)))];
}

function reproduction(point) {
  if (!point.command) return el("p", { class: "soft" }, "No command is known for it.");
  const button = el("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(point.command);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return el("div", {}, el("h3", {}, "Compute it anew, alone, and compare"), el("div", { class: "command" }, el("pre", { tabindex: 0 }, el("code", {}, point.command)), button));
}
