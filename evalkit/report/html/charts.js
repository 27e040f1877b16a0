// Draws Plotly figures in the page's own colours and in the room that there is, whatever the theme and the window.
"use strict";
const charts = (() => {
  // Pixels that a letter takes, on the safe side: of 13 px in labels, of a fifth more in the titles of axes.
  const LETTER = 7.5;
  const TITLE_LETTER = 8;
  const drawn = new Map();

  // Figures name colours as var(--name), so that one figure serves every theme.
  function themed(value, key = "") {
    if (Array.isArray(value)) return value.map((item) => themed(item, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name)]));
    }
    const name = /color(scale)?$/.test(key) && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : value;
  }

  // Plotly cuts off what is too long: break it between words, and within a word that alone is longer than the line.
  function wrapped(text, pixels, letter = LETTER) {
    const room = Math.max(12, Math.floor(pixels / letter));
    const [indent] = /^\s*/.exec(text);
    return indent + String(text).split("<br>").flatMap((line) => broken(line, room)).join("<br>");
  }

  function cut(text, pixels) {
    const room = Math.max(12, Math.floor(pixels / LETTER));
    const letters = text.match(/<[^>]*>|&[#\w]+;|./gu) ?? [];
    return letters.length > room ? `${letters.slice(0, room - 1).join("")}…` : text;
  }

  function broken(text, room) {
    const even = Math.ceil(text.length / Math.ceil(text.length / room)) + 6;  // no last line of one word
    const most = Math.min(room, even);
    const lines = [[]];
    for (const word of text.match(/(?:<[^>]*>|[^\s<])+/g) ?? []) {
      const letters = word.match(/<[^>]*>|&[#\w]+;|./gu);
      const line = lines.at(-1);
      if (line.length && line.length + letters.length < most) {
        line.push(" ", ...letters);
        continue;
      }
      if (!line.length) lines.pop();
      for (let from = 0; from < letters.length; from += most) lines.push(letters.slice(from, from + most));
    }
    return lines.map((line) => line.join(""));
  }

  function fitted(figure, width) {
    const { data, layout } = themed(figure);
    for (const [name, axis] of Object.entries(layout)) {
      if (!/^[xy]axis\d*$/.test(name)) continue;
      const room = name.startsWith("y") ? layout.height - 80 : width * (layout.yaxis?.ticktext ? 0.55 : 0.8);
      if (axis.title?.text) axis.title.text = wrapped(axis.title.text, room, TITLE_LETTER);
      if (name.startsWith("y") && axis.ticktext) axis.ticktext = axis.ticktext.map((text) => wrapped(text, width * 0.42));
    }
    for (const trace of data) {
      // Bars that stand close have no room for a second line: theirs is cut, its number first.
      const [fit, share] = trace.meta === "one line" ? [cut, 0.28] : [wrapped, 0.4];
      if (trace.mode?.includes("text") && Array.isArray(trace.text)) trace.text = trace.text.map((text) => fit(text, width * share));
    }
    return { data, layout: { ...layout, width } };
  }

  function draw(plot, figure) {
    const height = figure.layout.height ?? plot.clientHeight;
    const width = plot.clientWidth;
    drawn.set(plot, { figure, width });
    watch.observe(plot);
    if (!width) return;
    const { data, layout } = fitted({ ...figure, layout: { ...figure.layout, height } }, width);
    layout.font.family = getComputedStyle(document.body).fontFamily;
    Plotly.react(plot, data, layout, { displayModeBar: false });
    placeNames(plot);
  }

  // A window that changes, a column that moves, a folded part that opens: all change the room of a chart.
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const { figure, width } = drawn.get(target) ?? {};
      if (figure && width !== target.clientWidth) draw(target, figure);
    }
  });

  function clear(plot) {
    drawn.delete(plot);
    Plotly.purge(plot);
  }

  // Charts are drawn before the browser lays the pages out: the sheet's width is the page's own while it prints.
  function print(begins) {
    document.documentElement.classList.toggle("paper", begins);
    if (begins) document.documentElement.dataset.theme = "light";
    else delete document.documentElement.dataset.theme;
  }

  // Now, and again whenever the colours change; print is always light.
  function always(drawAll) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    addEventListener("beforeprint", () => { print(true); drawAll(); });
    addEventListener("afterprint", () => { print(false); drawAll(); });
    drawAll();
  }

  return { draw, clear, always };
})();
