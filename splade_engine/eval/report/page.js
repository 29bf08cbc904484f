"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

// ---- tables sorted by any column ----
function keyOf(cell) {
  const own = cell.dataset.value;
  if (own !== undefined) return own === "" ? null : Number(own);
  return cell.textContent.trim().toLowerCase();
}
function sortTable(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const up = header.getAttribute("aria-sort") === "descending" ||
    (header.getAttribute("aria-sort") === "none" && header.dataset.first === "up");
  for (const other of header.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, place) => ({ row, place, key: keyOf(row.cells[column]) }));
  rows.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
    const order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
    return (up ? order : -order) || a.place - b.place;
  });
  for (const { row } of rows) body.append(row);
}
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => sortTable(button.closest("th")));
}

// ---- one collection of a long table ----
for (const select of document.querySelectorAll("select[data-filter]")) {
  const table = document.getElementById(select.dataset.filter);
  const show = () => {
    for (const row of table.tBodies[0].rows) row.hidden = select.value !== "" && row.dataset.dataset !== select.value;
  };
  select.addEventListener("change", show);
  show();
}

// ---- query by query ----
const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const signed = (value) => (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(3);
const control = (name) => document.getElementById("diff-" + name);

function chips(terms, others) {
  const known = new Set(others.map(([term]) => term));
  const box = el("span");
  for (const [term, score] of terms) {
    box.append(el("span", { class: "term" + (known.has(term) ? "" : " only") }, el("b", {}, term), el("span", {}, score.toFixed(2))));
  }
  return box;
}
function inside(dataset, query, a, b) {
  const box = el("div", { class: "inside" });
  const first = data.first[dataset];
  const place = (s) => (first[s] && first[s][query] != null ? "rank " + first[s][query] : "not among the hits");
  box.append(el("p", {}, `First relevant document: ${place(a)} by ${data.systems[a].name}, ${place(b)} by ${data.systems[b].name}.`));
  const seen = new Set();
  for (const s of [a, b]) {
    const source = data.systems[s].terms;
    const terms = source == null || seen.has(source) ? null : (data.terms[dataset] || {})[source];
    if (!terms || !terms[query]) continue;
    seen.add(source);
    const found = terms[query];
    box.append(el("p", {}, el("b", {}, `${data.systems[source].name}: `), "query terms ", chips(found.query, found.query)));
    for (const [label, title] of [["relevant", "relevant document"], ["other", "best document that is not relevant"]]) {
      if (!found[label]) continue;
      const rank = found[label].rank ? `rank ${found[label].rank}` : "not among the hits";
      const rest = (label === "relevant" ? found.other : found.relevant) || { terms: [] };
      box.append(el("p", {}, `${title} ${found[label].id} (${rank}): `, chips(found[label].terms, rest.terms)));
    }
  }
  if (!seen.size) box.append(el("p", { class: "note" }, "No sparse vectors behind these two systems, or none kept for this query."));
  else box.append(el("p", { class: "note" }, "Number: query weight times document weight. Shaded: the term counts for this document only."));
  return box;
}
function entry(dataset, query, delta, values, a, b) {
  const node = el("details", { class: "query" });
  const text = data.queries[dataset][query] || "";
  const sums = `${data.systems[a].name} ${values[0].toFixed(3)}, ${data.systems[b].name} ${values[1].toFixed(3)}`;
  node.append(el("summary", { title: sums }, el("span", { class: "delta " + (delta > 0 ? "gain" : "loss") }, signed(delta)),
    el("span", {}, text, el("span", { class: "note" }, `  ${query}`))));
  node.addEventListener("toggle", () => {
    if (!node.open || node.children.length > 1) return;
    const box = inside(dataset, query, a, b);
    box.prepend(el("p", { class: "note" }, sums));
    node.append(box);
  });
  return node;
}
function bars(deltas) {
  const width = 1000, height = 150, middle = height / 2;
  const step = width / Math.max(deltas.length, 1);
  const scale = Math.max(...deltas.map(Math.abs), 1e-9);
  const shapes = deltas.map((d, i) => {
    const size = (Math.abs(d) / scale) * (middle - 6);
    return `<rect x="${(i * step).toFixed(2)}" width="${Math.max(step - (step > 3 ? 1 : 0), 0.4).toFixed(2)}" ` +
      `y="${(d > 0 ? middle - size : middle).toFixed(2)}" height="${size.toFixed(2)}" style="fill:var(${d > 0 ? "--good" : "--bad"})"/>`;
  });
  return `<svg class="chart" role="img" viewBox="0 0 ${width} ${height}" aria-label="differences of all queries, sorted">` +
    `<line class="grid" x1="0" x2="${width}" y1="${middle}" y2="${middle}"/>${shapes.join("")}</svg>`;
}
function differences() {
  const [dataset, measure] = [control("dataset").value, control("measure").value];
  const [a, b] = [Number(control("a").value), Number(control("b").value)];
  const out = document.getElementById("differences");
  out.replaceChildren();
  const values = (data.values[dataset] || {})[measure] || {};
  if (!values[a] || !values[b]) {
    out.append(el("p", { class: "note" }, "One of the two systems was not measured on this collection."));
    return;
  }
  const rows = data.ids[dataset].map((query, i) => ({ query, delta: values[a][i] - values[b][i], values: [values[a][i], values[b][i]] }));
  rows.sort((x, y) => y.delta - x.delta);
  const won = rows.filter((r) => r.delta > 1e-9), lost = rows.filter((r) => r.delta < -1e-9).reverse();
  out.append(el("p", {}, `${data.systems[a].name} is better for ${won.length} queries, worse for ${lost.length}, ` +
    `the same for ${rows.length - won.length - lost.length}.`));
  const chart = el("figure");
  chart.innerHTML = bars(rows.map((r) => r.delta));
  const columns = el("div", { class: "columns" });
  for (const [title, list] of [["Gained most", won], ["Lost most", lost]]) {
    const column = el("div", {}, el("h3", {}, title));
    for (const r of list.slice(0, data.shown)) column.append(entry(dataset, r.query, r.delta, r.values, a, b));
    if (!list.length) column.append(el("p", { class: "note" }, "none"));
    columns.append(column);
  }
  out.append(chart, columns);
}
if (control("dataset")) {
  for (const name of ["dataset", "measure", "a", "b"]) control(name).addEventListener("change", differences);
  differences();
}
