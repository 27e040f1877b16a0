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

  // A prompt's completions: arm -> the prompt as it was put (`rendered`), and its different texts (`classes`), the most
  // frequent first. null where they are not in this file.
  async function unpack(index) {
    const packed = blocks[index].textContent;
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const text = new TextDecoder("utf-16le").decode(await new Response(stream).arrayBuffer());
    const spelled = text.replace(/[\ue000-\uf8ff]/g, (code) => data.words[code.charCodeAt(0) - 0xe000]);
    return Object.fromEntries(Object.entries(JSON.parse(spelled)).map(([arm, found]) => [arm, named(found)]));
  }

  // The rows of a block with their columns named.
  function named({ rendered, scores, classes, unfinished, lost }) {
    const row = ([text, count, cut, means, meaning, thoughts, stated]) => ({
      text, count, cut, meaning, thoughts: thoughts ?? [], stated: stated ?? [],
      scores: Object.fromEntries(scores.map((name, index) => [name, means[index]]).filter(([, mean]) => mean !== null)),
    });
    return { rendered, classes: classes.map(row), unfinished: unfinished ?? [], lost: lost ?? [] };
  }

  return { data, byId, element, number, unpack };
})();
