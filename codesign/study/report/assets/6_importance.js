// Which dimension explains how much of each objective's variance.
function setUpImportance() {
  const found = data.importances;
  const method = document.getElementById("importance-method");
  if (!found.length) {
    method.textContent = "No objective varies over enough points to say what it depends on.";
    document.getElementById("importance-figure").remove();
    return;
  }
  const names = data.dimensions.map((one) => one.name).filter((name) => found.some((one) => name in one.shares));
  const exact = found.filter((one) => one.method === "exact").map((one) => one.measure);
  const forest = found.filter((one) => one.method !== "exact").map((one) => `${one.measure} (${one.points} points)`);
  const constant = objectives.map((one) => one.name).filter((name) => !found.some((one) => one.measure === name));
  method.textContent = "Share of an objective’s variance that a dimension explains alone; what is missing to 100 % is due to combinations. "
    + (exact.length ? `Exact, from the whole grid: ${exact.join(", ")}. ` : "")
    + (forest.length ? `Estimated by a random forest (fANOVA, Hutter et al. 2014, by Optuna) from the points there are: ${forest.join(", ")}. ` : "")
    + (constant.length ? `Not shown, as it is the same at all points or of too few: ${constant.join(", ")}.` : "");
  document.getElementById("importance-table").append(table("Share of the variance", [{ text: "dimension" }, ...found.map((one) => ({ text: one.measure, number: true }))],
    names.map((name) => ({ cells: [name, ...found.map((one) => percent(one.shares[name] ?? 0))] }))));
  legend(document.getElementById("importance-legend"), found.map((one, at) => [one.measure, series(at), "square"]));
  figure(document.getElementById("importance-figure"), () => ({
    traces: found.map((one, at) => ({
      type: "bar", orientation: "h", name: plain(one.measure), y: names.map((name) => plain(shortened(name.replace("arithmetic.", ""), 20))), x: names.map((name) => one.shares[name] ?? 0), marker: { color: series(at) },
      hovertemplate: "%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
    })),
    layout: { height: 70 + 24 * names.length * Math.max(found.length, 1), barmode: "group", xaxis: { tickformat: ".0%", range: [0, 1], title: { text: "share of the variance" } }, yaxis: { autorange: "reversed" } },
  }));
}
