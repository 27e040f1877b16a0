// What every script of the page reads: its data, its blocks of completions, and how elements are made.
// Prompts, completions and names come from strangers: they reach the page through textContent only.
"use strict";
const report = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const blocks = document.querySelectorAll("script.block");

  const byId = (id) => document.getElementById(id);

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  const number = (value) => value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).replace("-", "−");

  // A prompt's completions: arm -> the prompt as it was put, and its different texts, the most frequent first.
  async function unpack(index) {
    const packed = blocks[index].textContent;
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  return { data, byId, element, number, unpack };
})();
