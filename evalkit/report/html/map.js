// Draws the maps of completions: all prompts, an arm a panel, and one prompt, all arms in one.
// Texts come out of the prompt's own block when its map is opened. Plotly reads a small HTML dialect in what it shows
// under the pointer, and texts are strangers': they are escaped, and shortened to what fits there.
"use strict";
(() => {
  const { map, prompts } = report.data;
  if (!map) return;
  const { arms } = map;
  const { byId } = report;
  const pick = byId("pick-map");
  const PANEL = 160;
  const GAP = 12;
  const LETTER = 9;  // pixels, of a bold one
  const GRID = 0.25;
  const LINE = 60;
  const LINES = 6;
  let isSeen = false;

  // ---- words ----

  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const plain = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "").split(/\s+/).filter(Boolean).join(" ");

  function wrapped(text) {
    const lines = [];
    for (let rest = plain(text); rest; ) {
      if (lines.length === LINES) return [...lines, "…"].join("<br>");
      const space = rest.length > LINE ? rest.lastIndexOf(" ", LINE) : -1;
      const line = rest.slice(0, space > 0 ? space : LINE);
      lines.push(escaped(line));
      rest = rest.slice(line.length).trimStart();
    }
    return lines.join("<br>") || "<i>empty</i>";
  }

  const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const nameOf = ({ id, text, turns }) => shortened(plain(text ? `${id}: ${turns?.at(-1)[1] ?? text}` : id), 90);

  // ---- figures ----

  // Area, not width, is what the eye takes for a number.
  const sizes = (counts, single) => counts.map((count) => single * Math.sqrt(count));
  const most = (counts) => counts.reduce((a, b) => Math.max(a, b), 1);

  function ellipse([x, y, long, short, turn]) {
    const angles = Array.from({ length: 73 }, (_, step) => (step * Math.PI) / 36);
    return {
      x: angles.map((angle) => x + long * Math.cos(angle) * Math.cos(turn) - short * Math.sin(angle) * Math.sin(turn)),
      y: angles.map((angle) => y + long * Math.cos(angle) * Math.sin(turn) + short * Math.sin(angle) * Math.cos(turn)),
    };
  }

  const outline = (places, line) => ({ type: "scatter", mode: "lines", ...ellipse(places), line, hoverinfo: "skip", showlegend: false });

  // The least and greatest of both coordinates, with room for the largest point.
  function ends(traces) {
    const of = (values) => {
      const low = values.reduce((a, b) => Math.min(a, b), Infinity);
      const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
      const room = Math.max(0.1 * (high - low), 0.05);
      return [low - room, high + room];
    };
    return { x: of(traces.flatMap(({ x }) => x)), y: of(traces.flatMap(({ y }) => y)) };
  }

  const span = ([low, high]) => high - low;
  const axis = (range) => ({
    range, dtick: GRID, showticklabels: false, ticks: "", gridcolor: "var(--grid)", zeroline: false, showline: true, linecolor: "var(--axis)", mirror: true,
  });

  function layout(height, rest) {
    return {
      height, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: "var(--ink)", size: 13 },
      margin: { l: 2, r: 2, t: 28, b: 4 }, dragmode: false, hovermode: "closest",
      hoverlabel: { bgcolor: "var(--paper)", bordercolor: "var(--axis)", font: { color: "var(--ink)" }, align: "left", namelength: -1 },
      ...rest,
    };
  }

  // ---- all prompts ----

  // The width of a point of one text: what so many leave room for.
  function single() {
    const counts = map.prompts.flatMap((prompt) => prompt.arms.flatMap((texts) => texts.counts));
    return Math.max(2, Math.min(7, 310 / Math.sqrt(counts.length), 28 / Math.sqrt(most(counts))));
  }

  function cloud(arm, width) {
    const dots = map.prompts.flatMap((prompt, choice) => {
      const drawn = prompt.arms.find((texts) => texts.arm === arm);
      if (!drawn) return [];
      const { id } = prompts[prompt.index];
      const name = `<b>${arms[arm].label}</b> on ${escaped(shortened(plain(id), 40))}<br>`;
      return drawn.counts.map((count, text) => ({ x: drawn.ax[text], y: drawn.ay[text], count, choice, hover: `${name}${count} alike; click for this prompt's map` }));
    });
    dots.sort((a, b) => b.count - a.count);
    const { colour, symbol } = arms[arm];
    return {
      type: "scatter", mode: "markers", showlegend: false, hoverinfo: "text",
      x: dots.map(({ x }) => x), y: dots.map(({ y }) => y), hovertext: dots.map(({ hover }) => hover), customdata: dots.map(({ choice }) => choice),
      marker: { color: colour, symbol, size: sizes(dots.map(({ count }) => count), width), opacity: 0.35, line: { width: 0 } },
    };
  }

  // A label that the width of a panel has room for; a letter that is written as an entity is one letter.
  function fitting(label, pixels) {
    const letters = label.match(/&[#\w]+;|./gu);
    const room = Math.floor(pixels / LETTER);
    return letters.length <= room ? label : `${letters.slice(0, room - 1).join("")}…`;
  }

  const columns = () => {
    const fit = Math.max(1, Math.min(arms.length, Math.floor(byId("map-all").clientWidth / PANEL)));
    return Math.ceil(arms.length / Math.ceil(arms.length / fit));
  };

  function panels() {
    const across = columns();
    const down = Math.ceil(arms.length / across);
    const width = byId("map-all").clientWidth;
    const point = single();
    const clouds = arms.map((_, arm) => cloud(arm, point));
    const range = ends(clouds);
    const panel = (width - (across - 1) * GAP) / across;
    const high = Math.min(panel * (span(range.y) / span(range.x)), 1.2 * panel);
    const title = 26;
    const whole = down * (high + title);
    const data = [];
    const rest = { annotations: [] };
    arms.forEach((arm, index) => {
      const [column, row] = [index % across, Math.floor(index / across)];
      const suffix = index ? `${index + 1}` : "";
      const top = 1 - (row * (high + title) + title) / whole;
      rest[`xaxis${suffix}`] = { ...axis(range.x), anchor: `y${suffix}`, domain: [(column * (panel + GAP)) / width, (column * (panel + GAP) + panel) / width] };
      rest[`yaxis${suffix}`] = { ...axis(range.y), anchor: `x${suffix}`, scaleanchor: `x${suffix}`, domain: [Math.max(top - high / whole, 0), top] };
      const on = { xaxis: `x${suffix}`, yaxis: `y${suffix}` };
      const solid = { color: "var(--ink)", width: 2, dash: "solid" };
      const lines = [];
      if (arms[arm.baseline]?.outline) lines.push(outline(arms[arm.baseline].outline, { color: "var(--muted)", width: 1.5, dash: "dot" }));
      if (arm.outline) lines.push(outline(arm.outline, solid));
      data.push(...[clouds[index], ...lines].map((trace) => ({ ...trace, ...on })));
      rest.annotations.push({
        text: `<b>${fitting(arm.label, panel)}</b>`, x: 0, y: 1, xref: `x${suffix} domain`, yref: `y${suffix} domain`, xanchor: "left", yanchor: "bottom", showarrow: false,
        font: { color: arm.colour, size: 13 },
      });
    });
    return { data, layout: layout(whole + 8, { ...rest, margin: { l: 1, r: 1, t: 2, b: 4 } }) };
  }

  // ---- one prompt ----

  // Who else says a text, and how often.
  function speakers(prompt, block) {
    const said = new Map();
    for (const { arm, texts, counts } of prompt.arms) {
      texts.forEach((entry, text) => {
        const words = block?.[arms[arm].name]?.classes[entry]?.text;
        if (words === undefined) return;
        if (!said.has(words)) said.set(words, []);
        said.get(words).push(`${counts[text]} × ${arms[arm].label}`);
      });
    }
    return said;
  }

  function points({ arm, texts, counts, x, y }, single, block, said) {
    const { name, label, colour, symbol } = arms[arm];
    const hovers = texts.map((entry, text) => {
      const words = block?.[name]?.classes[entry]?.text;
      if (words === undefined) return `<b>${counts[text]} × ${label}</b><br>the text is in the run's folder`;
      return `<b>${said.get(words).join(", ")}</b><br>${wrapped(words)}`;
    });
    const order = texts.map((_, text) => text).sort((a, b) => counts[b] - counts[a]);
    const inOrder = (values) => order.map((text) => values[text]);
    const trace = { type: "scatter", mode: "markers", legendgroup: label, showlegend: false, x: inOrder(x), y: inOrder(y) };
    const size = sizes(inOrder(counts), single);
    // An edge of its own, so that arms which say the same text are still told apart where they lie on each other.
    return [
      { ...trace, hoverinfo: "skip", marker: { color: colour, symbol, size, opacity: 0.3, line: { width: 0 } } },
      { ...trace, hoverinfo: "text", hovertext: inOrder(hovers), marker: { color: colour, symbol: `${symbol}-open`, size, line: { width: 1.5 } } },
    ];
  }

  const key = ({ label, colour, symbol, dash }) => ({
    type: "scatter", mode: "lines+markers", name: label, legendgroup: label, x: [null], y: [null], hoverinfo: "skip",
    marker: { color: colour, symbol, size: 9 }, line: { color: colour, width: 2, dash },
  });

  function promptMap(prompt, block) {
    const said = speakers(prompt, block);
    const single = Math.min(8, 80 / Math.sqrt(most(prompt.arms.flatMap(({ counts }) => counts))));
    const drawn = prompt.arms.flatMap((texts) => points(texts, single, block, said));
    const lines = prompt.arms.map(({ arm, outline: ellipseOf }) => ({ ...outline(ellipseOf, { color: arms[arm].colour, width: 2, dash: arms[arm].dash }), legendgroup: arms[arm].label }));
    const range = ends([...drawn, ...lines]);
    const width = byId("map-one").clientWidth;
    const height = Math.min(width * (span(range.y) / span(range.x)), 560);
    return {
      data: [...drawn, ...lines, ...prompt.arms.map(({ arm }) => key(arms[arm]))],
      layout: layout(Math.max(height, 220) + 70, {
        xaxis: axis(range.x), yaxis: { ...axis(range.y), scaleanchor: "x" },
        legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom" }, margin: { l: 2, r: 2, t: 60, b: 4 },
      }),
    };
  }

  function fillTable(prompt) {
    const rows = prompt.arms.map(({ arm, cells }) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      const dot = document.createElement("span");
      const name = document.createElement("bdi");
      head.scope = "row";
      dot.className = `dot arm-${arms[arm].number}`;
      name.textContent = arms[arm].name;
      head.append(dot, name);
      row.append(head);
      for (const value of cells) row.insertCell().textContent = value;
      return row;
    });
    byId("map-rows").replaceChildren(...rows);
    byId("map-asked").textContent = prompts[prompt.index].text || prompts[prompt.index].id;
    byId("map-off").textContent = `${Math.round(100 * prompt.stress)} %`;
    byId("map-read").href = `#prompt-${encodeURIComponent(prompts[prompt.index].id)}`;
  }

  let shown = { prompt: null, block: null };

  // At once, for print does not wait; then again with the texts.
  async function drawOne() {
    const prompt = map.prompts[pick.value];
    fillTable(prompt);
    if (shown.prompt !== prompt) shown = { prompt, block: null };
    charts.draw(byId("map-one"), promptMap(prompt, shown.block));
    if (shown.block) return;
    const block = await report.unpack(prompt.index);
    if (!block || shown.prompt !== prompt) return;
    shown.block = block;
    charts.draw(byId("map-one"), promptMap(prompt, block));
  }

  // ---- when ----

  let isDrawn = false;

  function drawAll() {
    if (!isSeen) return;
    charts.draw(byId("map-all"), panels());
    if (!isDrawn) byId("map-all").on("plotly_click", ({ points: [point] }) => open(point.customdata));
    isDrawn = true;
    drawOne();
  }

  function open(choice) {
    pick.value = choice;
    drawOne();
    byId("one-prompt").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function see() {
    if (isSeen) return;
    isSeen = true;
    drawAll();
  }

  pick.append(...map.prompts.map(({ index }, choice) => new Option(nameOf(prompts[index]), choice)));
  pick.addEventListener("change", drawOne);
  byId("map-read").addEventListener("click", () => byId("browser")?.scrollIntoView());
  let width = 0;
  addEventListener("resize", () => {
    if (!isSeen || width === byId("map-all").clientWidth) return;
    width = byId("map-all").clientWidth;
    requestAnimationFrame(drawAll);
  });
  addEventListener("beforeprint", see);
  charts.always(drawAll);
  // Thousands of points take a while: not before a reader comes near.
  new IntersectionObserver((entries) => { if (entries.some(({ isIntersecting }) => isIntersecting)) see(); }, { rootMargin: "800px" }).observe(byId("map-all"));
})();
