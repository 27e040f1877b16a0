// Draws the page's charts. Names come from strangers: Plotly gets them escaped.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("data").textContent);

  // Figures name colours as var(--name), so that one figure serves every theme.
  function themed(value, key = "") {
    if (Array.isArray(value)) return value.map((item) => themed(item, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name)]));
    }
    const name = key.endsWith("color") && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : value;
  }

  function drawAll() {
    for (const place of document.querySelectorAll(".plot")) {
      const { data, layout } = themed(figures[place.dataset.figure]);
      layout.font.family = getComputedStyle(document.body).fontFamily;
      Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; drawAll(); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; drawAll(); });
  drawAll();
})();
