// Draws the lines of a history and fills their tables when they are opened.
// Names come from strangers: they reach the page through textContent, and Plotly through the escaped `shown`.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const digits = (value) => (value === null ? "not defined" : value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).replace("-", "−"));
  const between = (low, high) => (low === null || high === null ? "" : `${digits(low)} to ${digits(high)}`);
  const hidden = () => new Set([...document.querySelectorAll(".key-arms input:not(:checked)")].map(({ value }) => Number(value)));

  // ---- lines ----

  function hover(arm, line, index) {
    const run = data.runs[index];
    const interval = between(line.lows[index], line.highs[index]);
    const words = interval ? `${digits(line.values[index])}, ${data.confidence} interval ${interval}` : digits(line.values[index]);
    const broken = line.breaks.includes(index) ? "<br>not to be compared with the run before" : "";
    return `<b>${arm.shown}</b>, ${run.shown}<br>${run.at} UTC<br>${words}${broken}`;
  }

  // A missing value between two points keeps Plotly from joining them.
  function points(arm, line) {
    const points = { x: [], y: [], text: [] };
    for (const [index, value] of line.values.entries()) {
      if (value === null) continue;
      if (line.breaks.includes(index)) { points.x.push(data.runs[index].at); points.y.push(null); points.text.push(""); }
      points.x.push(data.runs[index].at);
      points.y.push(value);
      points.text.push(hover(arm, line, index));
    }
    return points;
  }

  // All intervals of a line are one path: a thousand error bars would be a thousand elements.
  function intervals(line) {
    const bars = line.lows.map((low, index) => {
      const at = data.runs[index].at.replace(" ", "_"), high = line.highs[index];
      return low === null || high === null ? "" : `M${at},${low}L${at},${high}`;
    });
    const path = bars.join("");
    return path ? [{ type: "path", path, line: { color: data.arms[line.arm].colour, width: 1.5 }, opacity: 0.55, layer: "below" }] : [];
  }

  function trace(line) {
    const arm = data.arms[line.arm];
    const { x, y, text } = points(arm, line);
    return {
      type: "scatter", mode: data.marked ? "lines+markers" : "lines", x, y, hovertext: text, hoverinfo: "text",
      line: { color: arm.colour, width: 1.5 }, marker: { color: arm.colour, symbol: arm.symbol, size: 7 }, cliponaxis: false,
    };
  }

  const time = (index) => Date.parse(data.runs[index].started);

  // A break stands between the two runs that must not be compared.
  function breakLines(lines) {
    const indices = [...new Set(lines.flatMap(({ breaks }) => breaks))];
    return indices.map((index) => {
      const between = new Date((time(index - 1) + time(index)) / 2).toISOString().slice(0, 19).replace("T", " ");
      return { type: "line", x0: between, x1: between, yref: "paper", y0: 0, y1: 1, line: { color: "var(--lost)", width: 1, dash: "dot" } };
    });
  }

  function draw(plot, without) {
    const trend = data.trends[plot.dataset.trend];
    const lines = trend.lines.filter(({ arm }) => !without.has(arm));
    const shapes = [...breakLines(lines), ...lines.flatMap(intervals)];
    charts.draw(plot, { data: lines.map(trace), layout: { ...trend.layout, shapes } });
  }

  // Chart by chart, so that the page can be read while long histories are still being drawn; for print all at once.
  let turn = 0;
  async function drawAll() {
    const mine = ++turn, without = hidden();
    for (const plot of plots) {
      draw(plot, without);
      if (document.documentElement.dataset.theme !== "light") await new Promise((done) => setTimeout(done));
      if (mine !== turn) return;
    }
  }
  document.querySelector(".key-arms")?.addEventListener("change", drawAll);
  charts.always(drawAll);

  // ---- tables ----

  function cell(tag, text, more = {}) {
    return Object.assign(document.createElement(tag), { textContent: text }, more);
  }

  function number(line, index) {
    const made = cell("td", line.values[index] === null ? "–" : digits(line.values[index]));
    made.append(cell("span", between(line.lows[index], line.highs[index]), { className: "interval" }));
    return made;
  }

  function table({ lines }) {
    const head = document.createElement("tr");
    head.append(...["Run", "Started (UTC)", ...lines.map(({ arm }) => data.arms[arm].name)].map((name) => cell("th", name, { scope: "col" })));
    const rows = data.runs.map((run, index) => {
      const row = cell("tr", "", { className: lines.some(({ breaks }) => breaks.includes(index)) ? "changed" : "" });
      row.append(cell("th", run.name, { scope: "row" }), cell("td", run.at), ...lines.map((line) => number(line, index)));
      return row;
    });
    const made = document.createElement("table");
    made.createTHead().append(head);
    made.createTBody().append(...rows);
    return made;
  }

  for (const details of document.querySelectorAll("details.numbers")) {
    const fill = () => {
      const region = details.querySelector(".scroll");
      if (details.open && !region.firstElementChild) region.append(table(data.trends[details.dataset.trend]));
    };
    details.addEventListener("toggle", fill);
    fill();
  }

  // ---- download ----

  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

  function csv() {
    const rows = [["run", "started", "metric", "arm", "value", "low", "high", "signature"]];
    for (const { metric, lines, signatures } of data.trends) {
      for (const { arm, values, lows, highs, signatures: ways } of lines) {
        for (const [index, { name, started }] of data.runs.entries()) {
          if (ways[index] === null) continue;
          const numbers = [values, lows, highs].map((row) => String(row[index] ?? ""));
          rows.push([name, started, metric, data.arms[arm].name, ...numbers, signatures[ways[index]]]);
        }
      }
    }
    return rows.map((row) => row.map(quoted).join(",") + "\n").join("");
  }

  document.getElementById("save-history").addEventListener("click", () => {
    const link = document.createElement("a");
    Object.assign(link, { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: `${data.file}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
})();
