// Draws the charts and the sample browser from the page's own data.
// Prompts, completions and names come from strangers: they reach the page through textContent only.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const blocks = document.querySelectorAll("script.block");
  const CLASSES_SHOWN = 16;
  const CHARACTERS_SHOWN = 1500;

  const byId = (id) => document.getElementById(id);

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // ---- charts ----

  function draw(place, figure) {
    if (!place) return;
    if (!figure) {
      Plotly.purge(place);
      place.replaceChildren(element("p", { className: "nothing", textContent: "Nothing here can be put on one scale; see the tables." }));
      return;
    }
    charts.draw(place, figure);
  }

  const picked = (id) => Number(byId(id)?.value ?? 0);

  function drawAll() {
    draw(byId("overview-plot"), data.overview[picked("pick-quality")]?.[picked("pick-diversity")]);
    draw(byId("distance-quality-plot"), data.distance.quality[picked("pick-quality")]);
    draw(byId("distance-diversity-plot"), data.distance.diversity[picked("pick-diversity")]);
    const said = data.readings[picked("pick-quality")]?.[picked("pick-diversity")] ?? [];
    byId("reading")?.replaceChildren(...said.map((sentence) => element("p", { textContent: sentence })));
    draw(byId("curve-plot"), data.curves[picked("pick-curve")]);
    for (const [index, table] of document.querySelectorAll(".curve-table").entries()) table.hidden = index !== picked("pick-curve");
    draw(byId("forest-plot"), data.forests[picked("pick-forest")]);
  }

  for (const id of ["pick-quality", "pick-diversity", "pick-curve", "pick-forest"]) byId(id)?.addEventListener("change", drawAll);
  charts.always(drawAll);

  // ---- sample browser ----

  if (!byId("browser")) return;
  const list = byId("prompts");
  const view = byId("prompt");
  let listed = [];
  let current = -1;

  const number = (value) => value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).replace("-", "−");
  const prefix = "#prompt-";
  const address = (index) => prefix + encodeURIComponent(data.prompts[index].id);

  function addressed() {
    if (!location.hash.startsWith(prefix)) return -1;
    return data.prompts.findIndex((_, index) => address(index) === location.hash);
  }

  async function unpack(index) {
    const packed = blocks[index].textContent;
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function fillControls() {
    const tags = [...new Set(data.prompts.flatMap((prompt) => prompt.tags))].sort();
    byId("tag").append(...tags.map((tag) => element("option", { value: tag, textContent: tag })));
    byId("sort").append(...data.losses.map((loss, index) => element("option", { value: index, textContent: `largest loss in ${loss.name}` })));
  }

  function matching() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const tag = byId("tag").value;
    return data.prompts.map((_, index) => index).filter((index) => {
      const prompt = data.prompts[index];
      const text = `${prompt.id} ${prompt.text}`.toLowerCase();
      return words.every((word) => text.includes(word)) && (!tag || prompt.tags.includes(tag));
    });
  }

  function fillList() {
    const losses = data.losses[byId("sort").value]?.values;
    listed = matching();
    if (losses) listed.sort((a, b) => (losses[b] ?? -Infinity) - (losses[a] ?? -Infinity) || a - b);
    list.replaceChildren(...listed.map((index) => entry(index, losses)));
    byId("found").textContent = `${listed.length} of ${data.prompts.length} prompts`;
    mark();
  }

  function entry(index, losses) {
    const prompt = data.prompts[index];
    const lost = losses ? (losses[index] === null ? "not defined" : `lost ${number(losses[index])}`) : "";
    const line = element("span", { className: "line" }, element("bdi", { textContent: prompt.id }), element("span", { textContent: lost }));
    const text = element("span", { className: "text", dir: "auto", textContent: prompt.text });
    const link = element("a", { href: address(index) }, line, text);
    link.dataset.index = index;
    return element("li", {}, link);
  }

  function mark() {
    for (const link of list.querySelectorAll("a")) {
      if (Number(link.dataset.index) === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  async function show(index) {
    if (index < 0) return;
    current = index;
    mark();
    const block = await unpack(index);
    if (index === current) view.replaceChildren(...promptView(data.prompts[index], block));
  }

  function promptView(prompt, block) {
    const heading = element("h3", { dir: "auto", textContent: prompt.text || prompt.id });
    const about = element("div", { className: "about" }, element("a", { href: address(current), textContent: "link to this prompt" }));
    about.append(...prompt.tags.map((tag) => element("span", { className: "tag", textContent: tag })));
    if (prompt.answer != null) about.append(element("span", { textContent: `right answer: ${prompt.answer}` }));
    const law = Object.entries(prompt.choices ?? {}).map(([choice, share]) => `${choice} ${number(share)}`);
    if (law.length) about.append(element("span", { textContent: `target law: ${law.join(", ")}` }));
    for (const text of prompt.references ?? []) about.append(element("span", { dir: "auto", textContent: `reference: ${text}` }));
    if (!block) return [heading, about, element("p", { className: "nothing", textContent: "The completions of this prompt are not in this file; they are in the run's folder." })];
    const arms = data.arms.filter((arm) => Object.hasOwn(block, arm.name)).map((arm) => armView(arm, block[arm.name]));
    return [heading, about, metricsView(current), element("div", { className: "arms-side", tabIndex: 0, role: "group", ariaLabel: "Arms" }, ...arms)];
  }

  function metricsView(index) {
    const names = data.summary.arms.map((arm) => arm.name);
    const head = ["Metric", ...names].map((name) => element("th", { scope: "col" }, element("bdi", { textContent: name })));
    const found = new Map();
    for (const { metric, arm, values } of data.summary.estimates) {
      if (!found.has(metric)) found.set(metric, new Map());
      found.get(metric).set(arm, values[index]);
    }
    const rows = [...found].map(([metric, values]) => {
      const cells = names.map((name) => element("td", { className: "number", textContent: values.get(name) == null ? "–" : number(values.get(name)) }));
      return element("tr", {}, element("th", { scope: "row", textContent: metric }), ...cells);
    });
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
    const summary = element("summary", { textContent: "Every metric on this prompt" });
    return element("details", { className: "prompt-metrics" }, summary, element("div", { className: "scroll" }, table));
  }

  function armView(arm, { rendered, classes }) {
    const total = classes.reduce((sum, entry) => sum + entry.count, 0);
    const items = classes.map((entry) => classView(entry, total));
    const shown = element("ol", {}, ...items.slice(0, CLASSES_SHOWN));
    const drawn = `${total} completions, ${classes.length} different`;
    return element(
      "section", { className: `arm arm-${arm.colour}` },
      element("h4", {}, element("bdi", { textContent: arm.name })),
      element("p", { className: "drawn", textContent: drawn }),
      rendered === null ? null : element("details", {}, element("summary", { textContent: "The prompt as it was put" }), element("pre", { dir: "auto", textContent: rendered })),
      shown,
      more(items.length - CLASSES_SHOWN, "different ones", (button) => { shown.append(...items.slice(CLASSES_SHOWN)); button.remove(); }),
    );
  }

  function classView({ text, count, cut, scores }, total) {
    const bar = element("span", { className: "share", ariaHidden: "true" }, element("span"));
    bar.firstChild.style.width = `${(100 * count) / total}%`;
    const head = element("div", { className: "class-head" }, bar, element("b", { textContent: `${count} ×` }));
    for (const [name, value] of Object.entries(scores)) head.append(element("span", { textContent: `${name} ${number(value)}` }));
    if (cut) head.append(element("span", { textContent: cut === count ? "cut off" : `${cut} cut off` }));
    const body = element("div", { className: "class-text", dir: "auto", textContent: text.slice(0, CHARACTERS_SHOWN) });
    const whole = more(text.length - CHARACTERS_SHOWN, "characters", (button) => { body.textContent = text; button.remove(); });
    return element("li", {}, head, body, whole);
  }

  function more(count, what, act) {
    if (count <= 0) return null;
    const button = element("button", { type: "button", textContent: `Show ${count.toLocaleString("en")} more ${what}` });
    button.addEventListener("click", () => act(button));
    return button;
  }

  function step(by) {
    const place = listed.indexOf(current);
    const next = listed[place < 0 ? 0 : Math.min(Math.max(place + by, 0), listed.length - 1)];
    if (next === undefined) return;
    history.replaceState(null, "", address(next));
    show(next);
    list.querySelector("a[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
  addEventListener("hashchange", () => show(addressed()));
  byId("search").addEventListener("input", fillList);
  for (const id of ["tag", "sort"]) byId(id).addEventListener("change", fillList);

  fillControls();
  fillList();
  const asked = addressed();
  show(asked < 0 ? (listed[0] ?? -1) : asked);
  if (asked >= 0) byId("browser").scrollIntoView();
})();
