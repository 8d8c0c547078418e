// What all figures share: colours of the theme, drawn when they come into view, and again when the theme changes.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const coarse = window.matchMedia("(pointer: coarse)");
const drawn = new Map();
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting && drawn.has(entry.target)) redraw(entry.target);
}, { rootMargin: "200px" });

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const series = (at) => color("c" + (at % 8));
// Plotly reads a few tags in its texts; names from outside are shown as they are.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function figure(element, make) {
  const known = drawn.has(element);
  drawn.set(element, { make, due: true });
  if (known) observer.unobserve(element);
  observer.observe(element);
}

async function redraw(element) {
  const one = drawn.get(element);
  if (!one.due) return;
  one.due = false;
  try {
    const library = await plotly();
    const { traces, layout, ready } = one.make();
    await library.react(element, traces, styled(layout), {
      responsive: true, displaylogo: false,
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], displayModeBar: layout.modebar && !coarse.matches ? "hover" : false,
    });
    if (ready && !element.listens) ready(element);
    element.listens = true;
  } catch (error) {
    element.replaceChildren(el("p", { class: "alert" }, "The figure cannot be drawn: " + error.message));
  }
}

function styled(layout) {
  const axis = (own = {}) => ({ gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"), automargin: true, separatethousands: true, ...own,
    title: own.title ? { standoff: 10, font: { size: 13 }, ...own.title } : undefined });
  return {
    margin: { l: 10, r: 12, t: 12, b: 10 }, showlegend: false, hovermode: "closest", dragmode: coarse.matches ? false : "zoom",
    separators: "." + THIN, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 13, color: color("ink") },
    hoverlabel: { bgcolor: color("paper"), bordercolor: color("soft"), font: { color: color("ink"), size: 13 }, align: "left" },
    ...layout, modebar: { bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("accent") }, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
  };
}

// Ticks of a logarithmic axis, each with its whole number: 1, 2 and 5 times powers of ten, or only these; where the
// values are so close that these would be few, the library's own.
function logTicks(values, show = number) {
  const there = values.filter((value) => value > 0);
  if (!there.length || Math.max(...there) < 8 * Math.min(...there)) return {};
  const [low, high] = [Math.floor(Math.log10(Math.min(...there))) - 1, Math.ceil(Math.log10(Math.max(...there))) + 1];
  const steps = high - low > 5 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = low; power <= high; power++) for (const step of steps) ticks.push(Number(`${step}e${power}`));
  return { tickvals: ticks, ticktext: ticks.map(show) };
}

dark.addEventListener("change", () => {
  for (const [element, one] of drawn) figure(element, one.make);
});

const SHAPES = { circle: "M7 2.5a4.5 4.5 0 1 0 .01 0z", diamond: "M7 1l6 6-6 6-6-6z", x: "M3 3l8 8M11 3l-8 8", square: "M2 2h10v10H2z", hatched: "M2 2h10L2 12z", line: "M0 7h14" };

function legend(element, entries) {
  // entries: [text, colour, shape]
  element.replaceChildren(...entries.map(([text, ink, shape]) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("width", "14"); svg.setAttribute("height", "14"); svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", SHAPES[shape]);
    path.setAttribute("style", shape === "x" || shape === "line" ? `stroke:${ink};stroke-width:2;fill:none` : `fill:${ink}`);
    svg.append(path);
    return el("span", {}, svg, text);
  }));
}
