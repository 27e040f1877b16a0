// Where the names of points stand: each on that side of its point where it covers least of what else is drawn. One that
// would still cover another is left out; who points at its point reads it.
"use strict";
const placeNames = (() => {
  // Plotly's words, best first: beside the bars of an interval rather than on them.
  const SIDES = [
    "top right", "top left", "bottom right", "bottom left", "middle right", "middle left", "top center", "bottom center",
  ];
  const ACROSS = { left: -1, center: 0, right: 1 };
  const DOWN = { top: -1, middle: 0, bottom: 1 };
  // What a pixel costs: outside the chart, over a name or over a point; over a line; and the next best side.
  const WORST = 5;
  const BAD = 3;
  const NEXT = 2;
  const ROUNDS = 4;  // in which every name is placed anew, among the others as they stand
  const ABOUT = 1.5;  // pixels to each side of a line that are its own
  const STEP = 12;  // pixels between the boxes that stand for a slanting line
  const MOST = 0.1;  // of a name that another one may cover
  const OUT = 8;  // pixels that a name may stand out of the plot at the left, where no number is

  function placeNames(plot) {
    const named = namedTraces(plot);
    const names = named.flatMap(({ names: own }) => own);
    if (!names.length) return;
    const points = [...plot.querySelectorAll(".points path")].map(box);
    const words = [...plot.querySelectorAll(".annotation-text")].map(box);
    const lines = linesOf(plot);
    const frame = frameOf(plot);
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of names) {
        const others = names.filter((other) => other !== name && other.side !== null).map(({ spots, side }) => spots[side]);
        const taken = [...points.filter((one) => !isAt(one, name.point)), ...words, ...others];
        const costs = name.spots.map((spot, side) => cost(spot, taken, lines, frame) + NEXT * side);
        name.side = costs.indexOf(Math.min(...costs));
      }
    }
    leaveOut(names);
    for (const { index, names: own } of named) {
      const textposition = own.map(({ side }) => SIDES[side]);
      const text = own.map(({ out }, at) => (out ? "" : plot.data[index].text[at]));
      Plotly.restyle(plot, { textposition: [textposition], text: [text] }, [index]);
    }
  }

  function leaveOut(names) {
    const kept = [];
    for (const name of names) {
      const spot = name.spots[name.side];
      name.out = kept.some((other) => shared(spot, other) > MOST * area(spot));
      if (!name.out) kept.push(spot);
    }
  }

  const cost = (spot, taken, lines, frame) =>
    WORST * (area(spot) - shared(spot, frame) + covered(spot, taken)) + BAD * covered(spot, lines);

  // The traces of points with names, by their position in the figure.
  function namedTraces(plot) {
    const nodes = [...plot.querySelectorAll(".scatterlayer > .trace")];
    const scattered = [...plot.data.entries()].filter(([, { type }]) => type === "scatter");
    return scattered.flatMap(([index, trace], order) => {
      if (!trace.mode?.includes("markers+text")) return [];
      const words = [...(nodes[order]?.querySelectorAll(".textpoint text") ?? [])];
      return [{ index, names: words.map((word, at) => nameOf(word, [trace.textposition].flat(), at, trace.marker.size)) }];
    });
  }

  // A name with its point, and the boxes that it would fill on each side; Plotly leaves some room about a point.
  function nameOf(word, given, at, size) {
    const now = box(word);
    const width = now.right - now.left;
    const height = now.bottom - now.top;
    const away = size / 1.6 + 1;
    const steps = (side) => {
      const [down, across] = side.split(" ");
      return [ACROSS[across] * (away + width / 2), DOWN[down] * (away + height / 2)];
    };
    const [right, below] = steps(given[at] ?? given[0]);
    const point = { x: (now.left + now.right) / 2 - right, y: (now.top + now.bottom) / 2 - below };
    const spots = SIDES.map((side) => {
      const [x, y] = steps(side);
      return boxAbout(point.x + x, point.y + y, width / 2, height / 2);
    });
    return { point, spots, side: null, out: false };
  }

  // The bars of intervals, which are straight, and the lines that join points, as small boxes along them.
  function linesOf(plot) {
    const bars = [...plot.querySelectorAll(".errorbar path")].map(box);
    return [...bars.map(widened), ...[...plot.querySelectorAll(".js-line")].flatMap(along)];
  }

  function along(line) {
    const matrix = line.getScreenCTM();
    const length = line.getTotalLength();
    const count = Math.max(1, Math.round(length / STEP));
    return Array.from({ length: count + 1 }, (_, at) => {
      const { x, y } = line.getPointAtLength((length * at) / count).matrixTransform(matrix);
      return boxAbout(x, y, 2 * ABOUT, 2 * ABOUT);
    });
  }

  function frameOf(plot) {
    const { right, top } = plot.getBoundingClientRect();
    const inside = plot.querySelector(".nsewdrag").getBoundingClientRect();
    return { left: inside.left - OUT, right, top, bottom: inside.bottom };
  }

  function box(element) {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return { left, right, top, bottom };
  }

  const boxAbout = (x, y, wide, high) => ({ left: x - wide, right: x + wide, top: y - high, bottom: y + high });
  const widened = ({ left, right, top, bottom }) =>
    ({ left: left - ABOUT, right: right + ABOUT, top: top - ABOUT, bottom: bottom + ABOUT });
  const isAt = ({ left, right, top, bottom }, { x, y }) => left <= x && x <= right && top <= y && y <= bottom;
  const area = ({ left, right, top, bottom }) => (right - left) * (bottom - top);
  const covered = (one, others) => others.reduce((all, other) => all + shared(one, other), 0);
  const shared = (a, b) =>
    Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
    Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

  return placeNames;
})();
