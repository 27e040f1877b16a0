// Draws the atlas on a canvas: the density of all points where there are too many for the eye, else the points; names of
// regions where there is room. Words of strangers are drawn as text, never read as anything else.
"use strict";
const atlasCanvas = (() => {
  const MOST_DOTS = 8000;
  const CELL = 3;  // pixels of a square of the density
  const DEEPEST = 0.85;  // how opaque the fullest square is
  const LABEL = "600 12px ";
  const WORDS = 2;  // of a region's name; the table has all of them
  const HIGH = 15;  // pixels of a name
  const AROUND = 5;
  // Of each symbol its corners, where the first one is, and how far in every second one lies.
  const UP = -Math.PI / 2;
  const SHAPES = {
    square: [4, Math.PI / 4, 1], diamond: [4, 0, 1], "triangle-up": [3, UP, 1], pentagon: [5, UP, 1], star: [10, UP, 0.45], cross: [8, UP, 0.35],
  };

  // What is drawn, by place: data -> pixels. `view` has the middle in data and pixels a unit of data.
  const placed = (view) => ({
    x: (value) => (value - view.x) * view.scale + view.width / 2,
    y: (value) => view.height / 2 - (value - view.y) * view.scale,
  });

  function colours(arms) {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return { arms: arms.map(({ colour }) => of(colour)), ink: of("--ink"), paper: of("--paper"), muted: of("--axis") };
  }

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  // The points in sight.
  function inSight(points, view) {
    const { x, y } = placed(view);
    const found = [];
    for (let point = 0; point < points.text.length; point++) {
      const text = points.text[point];
      const [left, top] = [x(points.x[text]), y(points.y[text])];
      if (left > -AROUND && left < view.width + AROUND && top > -AROUND && top < view.height + AROUND) found.push(point);
    }
    return found;
  }

  function draw(canvas, atlas, view, state) {
    const ratio = devicePixelRatio;
    canvas.width = Math.round(view.width * ratio);
    canvas.height = Math.round(view.height * ratio);
    const paint = canvas.getContext("2d");
    paint.scale(ratio, ratio);
    const look = colours(atlas.arms);
    const seen = inSight(atlas.points, view);
    const kind = seen.length > MOST_DOTS ? "density" : "dots";
    (kind === "density" ? density : dots)(paint, atlas, view, state, look, seen);
    names(paint, atlas, view, state, look);
    if (state.chosen !== null) chosen(paint, atlas, view, state, look);
    return { kind, seen: seen.length };
  }

  // ---- density ----

  function density(paint, atlas, view, state, look, seen) {
    const isMeant = (point) => state.arm < 0 || atlas.points.arm[point] === state.arm;
    const tints = look.arms.map(channels);
    const grey = look.arms.map(() => channels(look.muted));
    const [across, down] = [view.width, view.height].map((pixels) => Math.ceil(pixels / CELL) + 1);
    const layer = (some, of, deepest) => spread(paint, gathered(atlas, view, of, some, across, down), across, down, deepest);
    if (state.arm >= 0) layer(seen.filter((point) => !isMeant(point)), grey, DEEPEST / 3);
    layer(seen.filter(isMeant), tints, DEEPEST);
  }

  // Sums of weights, and of colours by weight, in squares. An arm's points weigh as much together as another's.
  function gathered(atlas, view, tints, seen, across, down) {
    const { x, y } = placed(view);
    const { points } = atlas;
    const sums = new Float32Array(4 * across * down);
    for (const point of seen) {
      const text = points.text[point];
      const column = Math.floor(x(points.x[text]) / CELL);
      const row = Math.floor(y(points.y[text]) / CELL);
      if (column < 0 || row < 0 || column >= across || row >= down) continue;
      const arm = points.arm[point];
      const weight = points.count[point] * atlas.weights[arm];
      const at = 4 * (row * across + column);
      for (let channel = 0; channel < 3; channel++) sums[at + channel] += weight * tints[arm][channel];
      sums[at + 3] += weight;
    }
    return softened(softened(sums, across, down, 4), across, down, 4 * across);
  }

  // Each square takes a quarter from both neighbours, `step` numbers away.
  function softened(sums, across, down, step) {
    const soft = new Float32Array(sums.length);
    for (let at = 0; at < sums.length; at++) {
      soft[at] = sums[at] / 2 + ((sums[at - step] ?? 0) + (sums[at + step] ?? 0)) / 4;
    }
    return soft;
  }

  function spread(paint, sums, across, down, deepest) {
    const image = new ImageData(across, down);
    let most = 0;
    for (let at = 3; at < sums.length; at += 4) most = Math.max(most, sums[at]);
    if (!most) return;
    for (let at = 0; at < sums.length; at += 4) {
      const weight = sums[at + 3];
      if (!weight) continue;
      for (let channel = 0; channel < 3; channel++) image.data[at + channel] = sums[at + channel] / weight;
      // By the logarithm: crowds differ by factors, and one text in an empty place is to be seen too.
      image.data[at + 3] = (255 * deepest * Math.log1p((200 * weight) / most)) / Math.log1p(200);
    }
    const sheet = new OffscreenCanvas(across, down);
    sheet.getContext("2d").putImageData(image, 0, 0);
    paint.imageSmoothingEnabled = true;
    paint.drawImage(sheet, 0, 0, across * CELL, down * CELL);
  }

  // ---- points ----

  function dots(paint, atlas, view, state, look, seen) {
    const { x, y } = placed(view);
    const { points } = atlas;
    const single = Math.max(1.6, Math.min(4.5, 110 / Math.sqrt(seen.length + 1)));
    const order = atlas.arms.map((_, arm) => arm).sort((a, b) => (a === state.arm) - (b === state.arm));
    for (const arm of order) {
      const isMeant = state.arm < 0 || arm === state.arm;
      paint.fillStyle = isMeant ? look.arms[arm] : look.muted;
      paint.globalAlpha = isMeant ? 0.6 : 0.2;
      paint.beginPath();
      for (const point of seen) {
        if (points.arm[point] !== arm) continue;
        const text = points.text[point];
        shape(paint, atlas.arms[arm].symbol, x(points.x[text]), y(points.y[text]), Math.min(18, single * Math.sqrt(points.count[point])));
      }
      paint.fill();
    }
    paint.globalAlpha = 1;
  }

  function shape(paint, symbol, x, y, radius) {
    const [corners, turn, inner] = SHAPES[symbol] ?? [0];
    if (!corners) {
      paint.moveTo(x + radius, y);
      paint.arc(x, y, radius, 0, 2 * Math.PI);
      return;
    }
    for (let corner = 0; corner <= corners; corner++) {
      const angle = turn + (2 * Math.PI * corner) / corners;
      const far = 1.2 * radius * (corner % 2 ? inner : 1);
      const to = [x + far * Math.cos(angle), y + far * Math.sin(angle)];
      if (corner) paint.lineTo(...to);
      else paint.moveTo(...to);
    }
  }

  // ---- words ----

  // The fullest regions first; a name for which there is no room is left out, and has some further in.
  function names(paint, atlas, view, state, look) {
    const { x, y } = placed(view);
    const weight = ({ completions }) => (state.arm < 0 ? completions.reduce((all, one, arm) => all + one * atlas.weights[arm], 0) : completions[state.arm]);
    const taken = [];
    paint.font = LABEL + getComputedStyle(document.body).fontFamily;
    paint.textAlign = "center";
    paint.textBaseline = "middle";
    paint.lineJoin = "round";
    for (const region of [...atlas.regions].sort((a, b) => weight(b) - weight(a))) {
      if (!region.words.length || !weight(region)) continue;
      const [left, top] = [x(region.x), y(region.y) + HIGH];  // below its middle, where it hides least of the crowd
      const name = region.words.slice(0, WORDS).join(" · ");
      const [wide, high] = [paint.measureText(name).width / 2 + AROUND, HIGH / 2 + 1];
      const box = [left - wide, top - high, left + wide, top + high];
      const isIn = box[0] >= 0 && box[1] >= 0 && box[2] <= view.width && box[3] <= view.height;
      if (!isIn || taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      paint.strokeStyle = look.paper;
      paint.lineWidth = 3;
      paint.strokeText(name, left, top);
      paint.fillStyle = look.ink;
      paint.fillText(name, left, top);
    }
  }

  // ---- the text that is read, and those most like it ----

  function chosen(paint, atlas, view, state, look) {
    const { x, y } = placed(view);
    const { points } = atlas;
    const [left, top] = [x(points.x[state.chosen]), y(points.y[state.chosen])];
    paint.strokeStyle = look.ink;
    state.near.forEach((text, index) => {
      const [to, down] = [x(points.x[text]), y(points.y[text])];
      paint.lineWidth = 1;
      paint.beginPath();
      paint.moveTo(left, top);
      paint.lineTo(to, down);
      paint.stroke();
      paint.beginPath();
      paint.arc(to, down, 8, 0, 2 * Math.PI);
      paint.fillStyle = look.paper;
      paint.fill();
      paint.stroke();
      paint.fillStyle = look.ink;
      paint.fillText(String(index + 1), to, down);
    });
    paint.lineWidth = 3;
    paint.beginPath();
    paint.arc(left, top, 7, 0, 2 * Math.PI);
    paint.stroke();
  }

  return { draw, placed };
})();
