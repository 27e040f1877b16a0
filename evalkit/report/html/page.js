// Draws the charts from the page's own data, and again when another measure is picked.
"use strict";
(() => {
  const { data, byId, element } = report;

  function draw(plot, figure) {
    if (!plot) return;
    if (!figure) {
      charts.clear(plot);
      plot.replaceChildren(element("p", { className: "nothing", textContent: "Nothing here can be put on one scale; see the tables." }));
      return;
    }
    charts.draw(plot, figure);
  }

  const picked = (id) => Number(byId(id)?.value ?? 0);

  function drawAll() {
    draw(byId("overview-plot"), data.overview[picked("pick-quality")]?.[picked("pick-diversity")]);
    draw(byId("kl-quality-plot"), data.kl_tradeoff.quality[picked("pick-quality")]);
    draw(byId("kl-diversity-plot"), data.kl_tradeoff.diversity[picked("pick-diversity")]);
    const sentences = data.overview_sentences[picked("pick-quality")]?.[picked("pick-diversity")] ?? [];
    byId("overview-sentences")?.replaceChildren(...sentences.map((sentence) => element("p", { textContent: sentence })));
    draw(byId("curve-plot"), data.curves[picked("pick-curve")]);
    for (const [index, table] of document.querySelectorAll(".curve-table").entries()) table.hidden = index !== picked("pick-curve");
    draw(byId("forest-plot"), data.forests[picked("pick-forest")]);
  }

  for (const id of ["pick-quality", "pick-diversity", "pick-curve", "pick-forest"]) byId(id)?.addEventListener("change", drawAll);
  charts.always(drawAll);
})();
