// The atlas: walks over the map of all texts, and shows the one that is chosen with those most like it.
// Texts come out of their prompts' blocks when they are asked for; they reach the page through textContent only.
"use strict";
(() => {
  const { byId, element, unpack } = report;
  const { atlas: given, prompts } = report.data;
  const map = byId("atlas");
  if (!given || !map) return;
  const canvas = map.querySelector("canvas");
  const chosenView = byId("atlas-chosen");
  const nothing = chosenView.firstElementChild;
  const NEIGHBOURS = 5;
  const STEP = 1.6;  // of one zoom
  const DEEPEST = 400;  // times the whole map
  const MARGIN = 1.06;
  const MISS = 16;  // pixels from a click to a text that it may still mean
  const STIR = 4;  // pixels from which a press is a drag
  const NEXT = 5;  // pixels that an arrow key goes at least
  const SPEAKERS = 4;
  const CHARACTERS = 320;
  const KEPT = 12;  // blocks that stay unpacked
  const blocks = new Map();
  const state = { arm: -1, chosen: null, near: [] };
  let atlas = null;
  let view = null;
  let asked = 0;

  // ---- the view ----

  function extent(values) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return { middle: (low + high) / 2, span: Math.max(high - low, 1) };
  }

  function whole() {
    return Math.min(view.width / atlas.x.span, view.height / atlas.y.span) / MARGIN;
  }

  function fit() {
    const width = map.clientWidth;
    const height = Math.round(Math.min(Math.max(0.7 * width, 320), 620));
    const magnified = view ? view.scale / whole() : 1;
    view = { width, height, x: view?.x ?? atlas.x.middle, y: view?.y ?? atlas.y.middle, scale: 0 };
    view.scale = magnified * whole();
    canvas.style.height = `${height}px`;
  }

  let isDue = false;

  function draw() {
    if (!atlas || isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; drawNow(); });
  }

  function drawNow() {
    if (!atlas || !map.clientWidth) return;
    fit();
    const { kind, seen } = atlasCanvas.draw(canvas, atlas, view, state);
    map.dataset.drawn = kind;
    map.dataset.seen = seen;
  }

  // About a place that stays where it is; the middle where none is given.
  function zoom(factor, left = view.width / 2, top = view.height / 2) {
    const scale = Math.max(whole(), Math.min(DEEPEST * whole(), view.scale * factor));
    const [right, up] = [left - view.width / 2, view.height / 2 - top];
    view.x += right / view.scale - right / scale;
    view.y += up / view.scale - up / scale;
    view.scale = scale;
    keepOnMap();
  }

  function pan(right, down) {
    view.x -= right / view.scale;
    view.y += down / view.scale;
    keepOnMap();
  }

  function keepOnMap() {
    for (const axis of ["x", "y"]) {
      const { middle, span } = atlas[axis];
      view[axis] = Math.max(middle - span / 2, Math.min(middle + span / 2, view[axis]));
    }
    draw();
  }

  function showWhole() {
    Object.assign(view, { x: atlas.x.middle, y: atlas.y.middle, scale: whole() });
    draw();
  }

  function goTo(x, y, magnified) {
    view.scale = Math.max(view.scale, magnified * whole());
    Object.assign(view, { x, y });
    keepOnMap();
  }

  function bringIntoSight(text) {
    const { x, y } = atlasCanvas.placed(view);
    const { points } = atlas;
    const [left, top] = [x(points.x[text]), y(points.y[text])];
    if (left < MISS || top < MISS || left > view.width - MISS || top > view.height - MISS) {
      Object.assign(view, { x: points.x[text], y: points.y[text] });
      keepOnMap();
    }
  }

  // ---- which text ----

  const isShown = (text) => {
    if (state.arm < 0) return true;
    for (let point = atlas.points.starts[text]; point < atlas.points.starts[text + 1]; point++) {
      if (atlas.points.arm[point] === state.arm) return true;
    }
    return false;
  };

  // The text that costs least to go to, by pixels right and down; null where none may be gone to.
  function least(cost) {
    const { x, y } = atlasCanvas.placed(view);
    const { points } = atlas;
    let [best, lowest] = [null, Infinity];
    for (let text = 0; text < points.x.length; text++) {
      const found = cost(x(points.x[text]), y(points.y[text]));
      if (found < lowest && isShown(text)) [best, lowest] = [text, found];
    }
    return best;
  }

  const at = (left, top, within) => least((x, y) => {
    const far = Math.hypot(x - left, y - top);
    return far <= within ? far : Infinity;
  });

  function walk(right, down) {
    if (state.chosen === null) {
      choose(at(view.width / 2, view.height / 2, Infinity));
      return;
    }
    const place = atlasCanvas.placed(view);
    const [left, top] = [place.x(atlas.points.x[state.chosen]), place.y(atlas.points.y[state.chosen])];
    const next = least((x, y) => {
      const ahead = (x - left) * right + (y - top) * down;
      const aside = Math.abs((x - left) * down) + Math.abs((y - top) * right);
      return ahead < NEXT || aside > ahead ? Infinity : ahead + 2 * aside;
    });
    if (next !== null) choose(next);
  }

  // ---- the text that is read ----

  function choose(text) {
    state.chosen = text;
    state.near = text === null ? [] : neighbours(text);
    if (text !== null) bringIntoSight(text);
    draw();
    show();
  }

  const neighbours = (text) =>
    Array.from({ length: NEIGHBOURS }, (_, place) => atlas.points[`neighbour${place}`][text]).filter(Boolean).map((away) => text + away);

  async function show() {
    const mine = (asked += 1);
    if (state.chosen === null) {
      chosenView.replaceChildren(nothing);
      return;
    }
    const [text, near] = [state.chosen, state.near];
    const [own, ...others] = await Promise.all([text, ...near].map(words));
    if (mine !== asked) return;
    const list = near.map((other, place) => element("li", {}, entry(other, others[place], place + 1)));
    chosenView.replaceChildren(
      read(own), said(text), element("h4", { textContent: "Most like it" }), element("ol", {}, ...list),
    );
    chosenView.scrollTop = 0;
  }

  const IN_FOLDER = "the text is in the run's folder";

  // A text's own words, out of the block of the first who says it.
  async function words(text) {
    const point = atlas.points.starts[text];
    const index = given.prompts[atlas.points.prompt[point]];
    const block = index === null ? null : await blockOf(index);
    return block?.[atlas.arms[atlas.points.arm[point]].name]?.classes[atlas.points.rank[point]]?.text ?? null;
  }

  function blockOf(index) {
    if (!blocks.has(index)) blocks.set(index, unpack(index));
    if (blocks.size > KEPT) blocks.delete(blocks.keys().next().value);
    return blocks.get(index) ?? unpack(index);
  }

  const read = (text) =>
    element("p", { className: text === null ? "nothing" : "class-text", dir: "auto", textContent: text ?? IN_FOLDER });

  function entry(text, itsWords, number) {
    const shortened = itsWords?.length > CHARACTERS ? `${itsWords.slice(0, CHARACTERS)}…` : itsWords;
    const button = element("button", { type: "button", className: "to-text" }, read(shortened));
    button.addEventListener("click", () => choose(text));
    button.ariaLabel = `${number}: ${shortened ?? IN_FOLDER}`;
    return element("div", {}, button, said(text));
  }

  // Who says it, and to what.
  function said(text) {
    const { starts, arm, prompt, count } = atlas.points;
    const points = Array.from({ length: starts[text + 1] - starts[text] }, (_, place) => starts[text] + place);
    const rows = points.slice(0, SPEAKERS).map((point) => {
      const dot = element("span", { className: "dot" });
      dot.style.setProperty("--c", `var(${atlas.arms[arm[point]].colour})`);
      const often = count[point] > 1 ? `${count[point].toLocaleString("en")} × ` : "";
      return element("li", {}, dot, often, element("bdi", { textContent: atlas.arms[arm[point]].name }), " on ", asking(given.prompts[prompt[point]]));
    });
    const more = points.length - rows.length;
    return element("ul", { className: "said-by" }, ...rows, more > 0 ? element("li", { textContent: `and ${more.toLocaleString("en")} more` }) : null);
  }

  function asking(index) {
    if (index === null) return "a prompt that is not in this file";
    const link = element("a", { href: `#prompt-${encodeURIComponent(prompts[index].id)}` }, element("bdi", { textContent: prompts[index].id }));
    link.addEventListener("click", () => byId("browser")?.scrollIntoView());
    return link;
  }

  // ---- what the reader does ----

  const keys = {
    ArrowLeft: () => walk(-1, 0), ArrowRight: () => walk(1, 0), ArrowUp: () => walk(0, -1), ArrowDown: () => walk(0, 1),
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: showWhole, Escape: () => choose(null),
  };

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const neighbour = state.near[Number(event.key) - 1];
    const act = keys[event.key] ?? (neighbour === undefined ? null : () => choose(neighbour));
    if (!act || !atlas) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  let drag = null;

  function begin(event) {
    if (!atlas || event.button) return;
    drag = { x: event.clientX, y: event.clientY, moved: 0 };
    map.setPointerCapture(event.pointerId);
  }

  function move(event) {
    if (!drag) return;
    const [right, down] = [event.clientX - drag.x, event.clientY - drag.y];
    const moved = drag.moved + Math.hypot(right, down);
    if (moved >= STIR) pan(right, down);
    drag = { x: event.clientX, y: event.clientY, moved };
  }

  function end(event) {
    if (drag && drag.moved < STIR) {
      const { left, top } = canvas.getBoundingClientRect();
      choose(at(event.clientX - left, event.clientY - top, MISS));
    }
    drag = null;
  }

  function wheel(event) {
    if (!atlas || !(event.ctrlKey || document.activeElement === map)) return;
    event.preventDefault();
    const { left, top } = canvas.getBoundingClientRect();
    zoom(event.deltaY < 0 ? STEP : 1 / STEP, event.clientX - left, event.clientY - top);
  }

  function listen() {
    map.addEventListener("keydown", press);
    map.addEventListener("pointerdown", begin);
    map.addEventListener("pointermove", move);
    map.addEventListener("pointerup", end);
    map.addEventListener("pointercancel", () => { drag = null; });
    map.addEventListener("wheel", wheel, { passive: false });
    map.addEventListener("dblclick", (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      zoom(STEP, event.clientX - left, event.clientY - top);
    });
    byId("atlas-in").addEventListener("click", () => zoom(STEP));
    byId("atlas-out").addEventListener("click", () => zoom(1 / STEP));
    byId("atlas-whole").addEventListener("click", showWhole);
    byId("atlas-arm").addEventListener("change", ({ target }) => { state.arm = Number(target.value); draw(); });
    for (const button of byId("atlas-figure").querySelectorAll(".to-region")) {
      button.addEventListener("click", () => {
        const { x, y } = given.regions[Number(button.dataset.region)];
        goTo(x, y, 5);
        map.focus({ preventScroll: true });
        byId("atlas-figure").scrollIntoView();
      });
    }
    new ResizeObserver(draw).observe(map);
  }

  // ---- when ----

  async function open() {
    const points = await atlasPoints.unpack(given.columns, byId("atlas-points").textContent);
    const totals = given.arms.map(() => 0);
    points.arm.forEach((arm, point) => { totals[arm] += points.count[point]; });
    // So that an arm with more completions is not taken for one that says more.
    const weights = totals.map((total) => (total ? 1 / total : 0));
    atlas = { points, weights, regions: given.regions, arms: given.arms, x: extent(points.x), y: extent(points.y) };
    fit();
    listen();
    charts.always(drawNow);
  }

  // Much to unpack: not before a reader comes near.
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    watch.disconnect();
    open();
  }, { rootMargin: "800px" });
  watch.observe(map);
})();
