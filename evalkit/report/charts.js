// Draws Plotly figures in the page's own colours, whatever the theme.
"use strict";
const charts = (() => {
  // Figures name colours as var(--name), so that one figure serves every theme.
  function themed(value, key = "") {
    if (Array.isArray(value)) return value.map((item) => themed(item, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name)]));
    }
    const name = key.endsWith("color") && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : value;
  }

  function draw(place, figure) {
    const { data, layout } = themed(figure);
    layout.font.family = getComputedStyle(document.body).fontFamily;
    // When its width changes, Plotly forgets the figure's own height and takes that of the place.
    place.style.height = `${layout.height}px`;
    Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
  }

  // Now, and again whenever the colours change; print is always light.
  function always(drawAll) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; drawAll(); });
    addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; drawAll(); });
    drawAll();
  }

  return { draw, always };
})();
