// The list of sections at the top follows the sections that the page has.
"use strict";
(() => {
  const list = document.querySelector("header nav");
  const headings = [...document.querySelectorAll("main > section > h2[id], main > section > .figure-head > h2[id], main > figure > h2[id]")];
  list.replaceChildren(...headings.map((heading) => Object.assign(document.createElement("a"), { href: `#${heading.id}`, textContent: heading.dataset.short ?? heading.textContent })));
  // What is jumped to stands below it, however many rows it takes.
  new ResizeObserver(() => document.documentElement.style.setProperty("--contents", `${list.offsetHeight}px`)).observe(list);
})();
