"use strict";
// Figures are drawn as they come near the window; tables sort by their heads and show what the filter asks for.

const specs = JSON.parse(document.getElementById("specs").textContent);

function draw(place) {
  if (place.dataset.drawn) return undefined; // asked for by two at once
  near.unobserve(place);
  const spec = specs[place.dataset.chart];
  spec.config.axis.labelLimit = place.clientWidth * 0.5;
  if (place.clientWidth < 480) spec.config.axis.tickCount = 4;
  for (const channel of spec.layer.flatMap((layer) => Object.values(layer.encoding))) {
    if (channel.legend) {
      const longest = Math.max(...channel.scale.domain.map((name) => name.length));
      channel.legend.columns = Math.max(1, Math.floor(place.clientWidth / (7 * longest + 30)));
    }
  }
  const inner = document.createElement("div"); // Vega gives it a role and a name; the place has its own
  inner.setAttribute("aria-hidden", "true");
  place.append(inner);
  place.dataset.drawn = "yes";
  return vegaEmbed(inner, spec, { renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } });
}

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      draw(entry.target);
    }
  },
  { rootMargin: "600px" },
);
const places = [...document.querySelectorAll("[data-chart]")];
places.forEach((place) => near.observe(place));
const all = () => Promise.all(places.map(draw));
window.addEventListener("beforeprint", all);
window.drawAll = all;

function value(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/^[[<]/, "").replaceAll(",", ""));
  return { text, number: text === "-" ? Infinity : number };
}

function sort(table, head) {
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.indexOf(head);
  const rising = head.getAttribute("aria-sort") !== "ascending";
  heads.forEach((one) => one.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const numeric = head.classList.contains("number");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, ...value(row, column) }));
  rows.sort((a, b) => (numeric ? a.number - b.number || 0 : a.text.localeCompare(b.text, "en", { numeric: true })));
  if (!rising) rows.reverse();
  table.tBodies[0].append(...rows.map((one) => one.row));
}

function filter(grid, words) {
  const rows = [...grid.querySelector("tbody").rows];
  const asked = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !asked.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  grid.querySelector("[role=status]").textContent = asked.length ? `${shown} of ${rows.length} rows` : "";
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
}
for (const input of document.querySelectorAll(".filter input")) {
  input.addEventListener("input", () => filter(input.closest(".grid"), input.value));
}
