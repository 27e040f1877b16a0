// Draws what needs no more than its data, and what is picked: the choices of a prompt, a measure.
// Prompts and choices come from strangers: they reach the page through textContent only.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  // Of each selector: what it picks from, and the names of the elements that show it.
  const pickers = [
    { pick: byId("pick-choice"), from: data.choices, names: "choice" },
    { pick: byId("pick-opinion"), from: data.opinions, names: "opinion" },
    { pick: byId("pick-decoding"), from: data.decoding, names: "decoding" },
    { pick: byId("pick-where"), from: data.where, names: "where" },
    { pick: byId("pick-words"), from: data.word_changes, names: "words" },
    { pick: byId("pick-split"), from: data.splits, names: "split" },
  ].filter(({ pick }) => pick);

  const line = (text) => Object.assign(document.createElement("li"), { textContent: text, dir: "auto" });

  function drawPicked({ pick, from, names }) {
    const { text, says, figure } = from.prompts[Number(pick.value)];
    if (text) byId(`${names}-asked`).textContent = text;
    if (Array.isArray(says)) byId(`${names}-says`).replaceChildren(...says.map(line));
    else byId(`${names}-says`).textContent = says;
    const plot = byId(`${names}-plot`);
    if (figure) charts.draw(plot, figure);
    else if (plot) charts.clear(plot);
  }

  function drawAll() {
    for (const [id, figure] of Object.entries(data.figures)) charts.draw(byId(id), figure);
    pickers.forEach(drawPicked);
  }

  for (const picker of pickers) {
    picker.pick.value = String(picker.from.first);
    picker.pick.addEventListener("change", () => drawPicked(picker));
  }
  charts.always(drawAll);
})();
