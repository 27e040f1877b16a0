// The reader's own weights: every step of the slider was reckoned when the page was made; here it is only shown.
// Names come from strangers: they reach the page through textContent only.
"use strict";
(() => {
  const slider = document.getElementById("weight");
  if (!slider) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const colours = new Map(data.arms.map((arm) => [arm.name, arm.colour]));

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function place({ arm, score, text, note }) {
    const bar = element("span", { className: `bar arm-${colours.get(arm)}`, ariaHidden: "true" }, element("span", {}));
    // From the middle, where the baseline is, to the left or the right.
    const reach = Math.min(Math.abs(score), 1) * 50;
    bar.firstChild.style.width = `${reach}%`;
    bar.firstChild.style.left = score < 0 ? `${50 - reach}%` : "50%";
    return element("li", {}, element("bdi", { textContent: arm }), bar, element("b", { textContent: text }), element("span", { className: "note", textContent: note }));
  }

  function show() {
    const step = data.uses[slider.value];
    slider.setAttribute("aria-valuetext", step.weights);
    document.getElementById("weights").textContent = step.weights;
    document.getElementById("weighed").textContent = step.sentence;
    document.getElementById("places").replaceChildren(...step.places.map(place));
  }

  slider.addEventListener("input", show);
  document.getElementById("weigh").hidden = false;
  show();
})();
