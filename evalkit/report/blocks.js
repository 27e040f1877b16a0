// Opens the compressed blocks of completions, one a prompt.
"use strict";
const blocks = (() => {
  const packed = document.querySelectorAll("script.block");

  // The prompt's completions by arm; null where the file does not hold them.
  async function unpack(index) {
    const text = packed[index]?.textContent;
    if (!text) return null;
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  return { unpack };
})();
