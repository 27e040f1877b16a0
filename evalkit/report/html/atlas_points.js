// Unpacks the columns of the atlas: bytes of equal weight stand side by side, lowest first; numbers are signed, of four bytes.
"use strict";
const atlasPoints = (() => {
  const BYTES = 4;

  // Of each column its numbers, and of each point which text it is.
  async function unpack(columns, packed) {
    const bytes = await inflated(packed);
    let at = 0;
    const found = {};
    for (const [name, length] of columns) {
      found[name] = whole(bytes.subarray(at, at + BYTES * length), length);
      at += BYTES * length;
    }
    return { ...found, ...speakers(found.points, found.arm.length) };
  }

  async function inflated(packed) {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function whole(bytes, length) {
    const numbers = new Int32Array(length);
    for (let index = 0; index < length; index++) {
      numbers[index] = bytes[index] | (bytes[length + index] << 8) | (bytes[2 * length + index] << 16) | (bytes[3 * length + index] << 24);
    }
    return numbers;
  }

  // Points of a text stand one after the other.
  function speakers(points, count) {
    const starts = new Int32Array(points.length + 1);
    const text = new Int32Array(count);
    for (let index = 0; index < points.length; index++) {
      starts[index + 1] = starts[index] + points[index];
      text.fill(index, starts[index], starts[index + 1]);
    }
    return { starts, text };
  }

  return { unpack };
})();
