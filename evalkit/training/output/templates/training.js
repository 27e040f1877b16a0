// Draws the training page's charts. Names come from strangers: Plotly gets them escaped.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("data").textContent);
  charts.always(() => {
    for (const place of document.querySelectorAll(".plot")) charts.draw(place, figures[place.dataset.figure]);
  });
})();
