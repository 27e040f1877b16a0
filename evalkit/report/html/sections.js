// Draws what needs no more than its data, and the choices of the prompt that is picked.
// Prompts and choices come from strangers: they reach the page through textContent only.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const pick = byId("pick-choice");

  function drawChoice() {
    const { text, says, figure } = data.choices.prompts[Number(pick.value)];
    byId("choice-asked").textContent = text;
    byId("choice-says").textContent = says;
    charts.draw(byId("choice-plot"), figure);
  }

  function drawAll() {
    for (const [id, figure] of Object.entries(data.figures)) charts.draw(byId(id), figure);
    if (pick) drawChoice();
  }

  if (pick) {
    pick.value = String(data.choices.first);
    pick.addEventListener("change", drawChoice);
  }
  charts.always(drawAll);
})();
