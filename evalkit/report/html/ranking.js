// The reader's own weights: every step of the slider was computed when the page was made; here it is only shown.
// Names come from strangers: they reach the page through textContent only.
"use strict";
(() => {
  const slider = report.byId("weight");
  if (!slider) return;
  const { data, byId, element } = report;
  const colours = new Map(data.arms.map((arm) => [arm.name, arm.colour]));

  function rankRow({ arm, score, text, note }) {
    const bar = element("span", { className: `bar arm-${colours.get(arm)}`, ariaHidden: "true" }, element("span", {}));
    // From the middle, where the baseline is, to the left or the right.
    const reach = Math.min(Math.abs(score), 1) * 50;
    bar.firstChild.style.width = `${reach}%`;
    bar.firstChild.style.left = score < 0 ? `${50 - reach}%` : "50%";
    return element("li", {}, element("bdi", { textContent: arm }), bar, element("b", { textContent: text }), element("span", { className: "note", textContent: note }));
  }

  function show() {
    const step = data.rankings[slider.value];
    slider.setAttribute("aria-valuetext", step.weights);
    byId("weights").textContent = step.weights;
    byId("weighed").textContent = step.sentence;
    byId("order").replaceChildren(...step.order.map(rankRow));
  }

  // Bars are compared by eye, so all begin at one place.
  const longest = Math.max(...data.arms.map((arm) => arm.name.length));
  byId("order").style.setProperty("--longest", `${longest}ch`);
  slider.addEventListener("input", show);
  byId("weigh").hidden = false;
  show();
})();
