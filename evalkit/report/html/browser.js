// The sample browser: a list of prompts, and one prompt's completions, arms side by side.
"use strict";
(() => {
  const { data, byId, element, number, unpack } = report;
  const GROUPS_SHOWN = 16;
  const CHARACTERS_SHOWN = 1500;
  const VALID_SHOWN = 12;

  if (!byId("browser")) return;
  const list = byId("prompts");
  const view = byId("prompt");
  let listed = [];
  let current = -1;

  const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  // ---- addresses ----

  const prefix = "#prompt-";
  const address = (index) => prefix + encodeURIComponent(data.prompts[index].id);

  function addressed() {
    if (!location.hash.startsWith(prefix)) return -1;
    return data.prompts.findIndex((_, index) => address(index) === location.hash);
  }

  // ---- search: in prompts at once, in completions when asked to ----

  let patterns = []; // one a word of the search
  let among = null; // prompt -> completions that hold all words; null where completions are not searched
  let searched = 0; // prompts whose completions were looked through
  let search = 0; // which search this is: one that is no longer the latest stops

  const literally = (word) => new RegExp(word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "iu");
  const holds = (text) => patterns.every((pattern) => pattern.test(text));

  function ask() {
    const marked = among !== null;
    patterns = byId("search").value.split(/\s+/).filter(Boolean).map(literally);
    among = null;
    stopSearch();
    if (marked) show(current);
  }

  async function searchCompletions() {
    if (among) return;
    if (!patterns.length) {
      byId("search").focus();
      return;
    }
    const mine = (search += 1);
    among = new Map();
    searched = 0;
    byId("searching").hidden = false;
    byId("search-progress").max = data.prompts.length;
    for (const index of data.prompts.keys()) {
      const block = await unpack(index);
      if (mine !== search) return;
      const classes = Object.values(block ?? {}).flatMap((arm) => arm.classes);
      const count = classes.filter(({ text }) => holds(text)).reduce((sum, entry) => sum + entry.count, 0);
      if (count) among.set(index, count);
      byId("search-progress").value = searched = index + 1;
    }
    stopSearch();
    show(current);
  }

  function stopSearch() {
    search += 1;
    byId("searching").hidden = true;
    fillList();
  }

  // ---- the list ----

  function fillControls() {
    const counts = new Map();
    for (const tag of data.prompts.flatMap((prompt) => prompt.tags)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    const tags = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    byId("tag").append(...tags.map(([tag, count]) => element("option", { value: tag, textContent: `${tag} (${count})` })));
    const kinds = [["Loss of diversity", "diversity", "lost"], ["Gain of quality", "quality", "gained"], ["Loss of quality", "quality", "lost"]];
    byId("sort").append(...kinds.map((kind) => orders(...kind)).filter(Boolean));
  }

  function orders(label, side, way) {
    const losses = data.losses.map((loss, index) => [loss, index]).filter(([loss]) => loss.side === side);
    const options = losses.map(([loss, index]) => element("option", { value: `${way} ${index}`, textContent: `largest ${way === "lost" ? "loss" : "gain"} in ${loss.name}` }));
    return options.length ? element("optgroup", { label }, ...options) : null;
  }

  // How far each prompt went the way that the list is sorted by, and the word for it; null in the suite's order.
  function order() {
    const [way, index] = byId("sort").value.split(" ");
    if (!way) return null;
    const sign = way === "lost" ? 1 : -1;
    return { way, values: data.losses[index].values.map((value) => (value === null ? null : sign * value)) };
  }

  function matching() {
    const tag = byId("tag").value;
    return [...data.prompts.keys()].filter((index) => {
      const prompt = data.prompts[index];
      return (holds(`${prompt.id} ${prompt.text}`) || among?.has(index)) && (!tag || prompt.tags.includes(tag));
    });
  }

  function fillList() {
    const by = order();
    listed = matching();
    if (by) listed.sort((a, b) => (by.values[b] ?? -Infinity) - (by.values[a] ?? -Infinity) || a - b);
    list.replaceChildren(...listed.map((index) => entry(index, by)));
    byId("found").textContent = matchCount();
    mark();
  }

  function matchCount() {
    const shown = `${listed.length} of ${data.prompts.length} prompts`;
    if (!among) return shown;
    const completions = [...among.values()].reduce((sum, count) => sum + count, 0);
    const where = searched < data.prompts.length ? ` of the first ${searched}` : "";
    return `${shown}; ${counted(completions, "completion")} of ${counted(among.size, "prompt")}${where} found`;
  }

  function entry(index, by) {
    const prompt = data.prompts[index];
    const notes = [];
    if (by) notes.push(by.values[index] === null ? "not defined" : `${by.way} ${number(by.values[index])}`);
    if (among?.has(index)) notes.push(counted(among.get(index), "completion"));
    const line = element("span", { className: "line" }, element("bdi", { textContent: prompt.id }), element("span", { textContent: notes.join(", ") }));
    // Conversations often begin alike: what is asked is the last turn.
    const text = element("span", { className: "text", dir: "auto", textContent: prompt.turns?.at(-1)[1] ?? prompt.text });
    const link = element("a", { href: address(index), tabIndex: -1 }, line, text);
    link.dataset.index = index;
    return element("li", {}, link);
  }

  // One link of the list is reached by the Tab key: the prompt that is shown, or the first.
  function mark() {
    const links = [...list.querySelectorAll("a")];
    for (const link of links) {
      link.tabIndex = -1;
      if (Number(link.dataset.index) === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const reached = list.querySelector("a[aria-current]") ?? links[0];
    if (reached) reached.tabIndex = 0;
  }

  const reachedLink = () => list.querySelector("a[tabindex='0']");

  // ---- moving ----

  function go(index) {
    history.replaceState(null, "", address(index));
    show(index);
    scrollList();
  }

  // Only the list scrolls: `scrollIntoView` would move the page as well.
  function scrollList() {
    const link = list.querySelector("a[aria-current]");
    if (!link) return;
    const [outer, inner] = [list.getBoundingClientRect(), link.getBoundingClientRect()];
    if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
    if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
  }

  function step(to) {
    const position = listed.indexOf(current);
    const next = listed[Math.min(Math.max(position < 0 ? 0 : to(position), 0), listed.length - 1)];
    if (next !== undefined && next !== current) go(next);
  }

  const STEPS = { next: (position) => position + 1, previous: (position) => position - 1, first: () => 0, last: () => listed.length - 1 };
  const IN_LIST = { ArrowDown: STEPS.next, ArrowUp: STEPS.previous, Home: STEPS.first, End: STEPS.last };
  const ANYWHERE = { j: STEPS.next, k: STEPS.previous };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof Element)) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      byId("search").focus();
    } else if (Object.hasOwn(ANYWHERE, event.key)) {
      step(ANYWHERE[event.key]);
      const { top } = view.getBoundingClientRect();
      if (top < 0 || top > innerHeight / 2) view.scrollIntoView();
    }
  }

  function onListKey(event) {
    if (!Object.hasOwn(IN_LIST, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(IN_LIST[event.key]);
    reachedLink()?.focus({ preventScroll: true });
  }

  function onSearchKey(event) {
    if (event.key === "Enter") searchCompletions();
    if (event.key === "ArrowDown" || event.key === "Escape") {
      event.preventDefault();
      reachedLink()?.focus();
    }
  }

  // ---- one prompt ----

  async function show(index) {
    if (index < 0) return;
    current = index;
    mark();
    const block = await unpack(index);
    if (index !== current) return;
    view.replaceChildren(...promptView(data.prompts[index], block));
    reachable(view);
  }

  // A text that scrolls by itself must be reached by keyboard.
  function reachable(part) {
    for (const box of part.querySelectorAll(".class-text")) if (box.scrollHeight > box.clientHeight) box.tabIndex = 0;
  }

  function conversation(prompt) {
    const turns = prompt.turns.map(([role, content]) =>
      element("li", { className: `turn turn-${role}` }, element("span", { className: "role", textContent: role }), element("div", { className: "said", dir: "auto", textContent: content })),
    );
    return element("div", { className: "conversation" }, element("h3", { dir: "auto", textContent: prompt.id }), element("ol", { className: "turns" }, ...turns));
  }

  // A list of all valid answers, each with its spellings, or what tells them.
  function validAnswers(valid) {
    if (typeof valid === "string") return `valid answers: ${valid}`;
    const names = valid.map((answer) => answer.split("|")[0]);
    const more = names.length > VALID_SHOWN ? `, and ${names.length - VALID_SHOWN} more` : "";
    return `${names.length} valid answers: ${names.slice(0, VALID_SHOWN).join(", ")}${more}`;
  }

  function promptView(prompt, block) {
    const heading = prompt.turns ? conversation(prompt) : element("h3", { dir: "auto", textContent: prompt.text || prompt.id });
    const about = element("div", { className: "about" }, element("a", { href: address(current), textContent: "link to this prompt" }));
    about.append(...prompt.tags.map((tag) => element("span", { className: "tag", textContent: tag })));
    if (prompt.answer != null) about.append(element("span", { textContent: `right answer: ${prompt.answer}` }));
    const target = Object.entries(prompt.choices ?? {}).map(([choice, share]) => `${choice} ${number(share)}`);
    if (target.length) about.append(element("span", { textContent: `target distribution: ${target.join(", ")}` }));
    if (prompt.valid) about.append(element("span", { dir: "auto", textContent: validAnswers(prompt.valid) }));
    for (const text of prompt.references ?? []) about.append(element("span", { dir: "auto", textContent: `reference: ${text}` }));
    if (!block) return [heading, about, element("p", { className: "nothing", textContent: "The completions of this prompt are not in this file; they are in the run's folder." })];
    const arms = data.arms.filter((arm) => Object.hasOwn(block, arm.name)).map((arm) => armView(arm, block[arm.name]));
    return [heading, about, metricsView(current), element("div", { className: "arms-side", tabIndex: 0, role: "group", ariaLabel: "Arms" }, ...arms)];
  }

  function metricsView(index) {
    const names = data.summary.arms.map((arm) => arm.name);
    const head = ["Metric", ...names].map((name) => element("th", { scope: "col" }, element("bdi", { textContent: name })));
    const byMetric = new Map();
    for (const { metric, arm, values } of data.summary.estimates) {
      if (!byMetric.has(metric)) byMetric.set(metric, new Map());
      byMetric.get(metric).set(arm, values[index]);
    }
    const rows = Object.keys(data.names).map((metric) => {
      const values = byMetric.get(metric);
      const cells = names.map((name) => element("td", { className: "number", textContent: values.get(name) == null ? "–" : number(values.get(name)) }));
      return element("tr", {}, element("th", { scope: "row" }, element("bdi", { textContent: data.names[metric] })), ...cells);
    });
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
    const summary = element("summary", { textContent: "Every metric on this prompt" });
    return element("details", { className: "prompt-metrics" }, summary, element("div", { className: "scroll" }, table));
  }

  function armView(arm, { rendered, classes, unfinished, lost }) {
    const total = classes.reduce((sum, entry) => sum + entry.count, 0);
    const repeats = repeated(classes, total);
    const groups = byId("group-by")?.value === "meaning" ? byMeaning(classes) : classes.map((entry) => grouped([entry]));
    const held = groups.filter((group) => among && group.entries.some(({ text }) => holds(text)));
    const items = [...new Set([...held, ...groups])].map((group) => groupView(group, total, repeats));
    const atFirst = Math.max(GROUPS_SHOWN, held.length);
    const shown = element("ol", {}, ...items.slice(0, atFirst));
    return element(
      "section", { className: `arm arm-${arm.colour}` },
      element("h4", {}, element("bdi", { textContent: arm.name })),
      element("p", { className: "drawn", textContent: drawn(classes, total) }),
      element("p", { className: "drawn", textContent: `${Math.round(100 * repeats.share)} % of words in runs that others share` }),
      rendered === null ? null : element("details", {}, element("summary", { textContent: "The prompt as it was put" }), element("pre", { dir: "auto", tabIndex: 0, textContent: rendered })),
      folded(unfinished, `${counted(unfinished.length, "completion")} cut before an answer`),
      ...lost.map(([reason, count, texts]) => folded(texts, `${counted(count, "answer")} ${reason}`) ?? element("p", { className: "drawn", textContent: `${counted(count, "answer")} ${reason}` })),
      shown,
      more(items.length - atFirst, "different ones", (button) => { shown.append(...items.slice(atFirst)); button.remove(); reachable(shown); }),
    );
  }

  function drawn(classes, total) {
    const said = [counted(total, "completion"), counted(classes.length, "different text")];
    if (byId("group-by")) said.push(counted(byMeaning(classes).length, "meaning"));
    return said.join(", ");
  }

  // ---- groups of completions ----

  function byMeaning(classes) {
    const byMeaning = new Map();
    for (const entry of classes) byMeaning.set(entry.meaning, [...(byMeaning.get(entry.meaning) ?? []), entry]);
    return [...byMeaning.values()].map(grouped).sort((a, b) => b.count - a.count);
  }

  // Different texts as one entry; its scores are means over completions.
  function grouped(entries) {
    const sum = (of) => entries.reduce((soFar, entry) => soFar + of(entry), 0);
    const scores = Object.keys(entries[0].scores).map((name) => {
      const known = entries.filter((entry) => Object.hasOwn(entry.scores, name));
      const count = known.reduce((soFar, entry) => soFar + entry.count, 0);
      return [name, known.reduce((soFar, entry) => soFar + entry.count * entry.scores[name], 0) / count];
    });
    return { entries, scores, count: sum((entry) => entry.count), cut: sum((entry) => entry.cut) };
  }

  function groupView({ entries, scores, count, cut }, total, repeats) {
    const bar = element("span", { className: "share", ariaHidden: "true" }, element("span"));
    bar.firstChild.style.width = `${(100 * count) / total}%`;
    const head = element("div", { className: "class-head" }, bar, element("b", { textContent: `${count} ×` }));
    for (const [name, value] of scores) head.append(element("span", { textContent: `${data.names[name] ?? name} ${number(value)}` }));
    const stated = entries.flatMap((entry) => entry.stated);
    if (stated.length) head.append(element("span", { textContent: `says it has a chance of ${stated.slice(0, 3).map(number).join(", ")}${stated.length > 3 ? ", …" : ""}` }));
    if (cut) head.append(element("span", { textContent: cut === count ? "cut off" : `${cut} cut off` }));
    const [first, ...others] = entries;
    const thoughts = entries.flatMap((entry) => entry.thoughts);
    return element("li", {}, head, folded(thoughts, `${thoughts.length} × thought before`), ...textView(first, repeats), othersView(others, repeats));
  }

  // Thinking, shown when it is opened.
  function folded(thoughts, title) {
    if (!thoughts.length) return null;
    const texts = element("ol");
    const made = element("details", { className: "thinking" }, element("summary", { textContent: title }), texts);
    made.addEventListener("toggle", () => {
      if (!made.open || texts.firstChild) return;
      texts.append(...thoughts.map((text) => element("li", {}, element("div", { className: "class-text", dir: "auto", textContent: text }))));
      reachable(texts);
    });
    return made;
  }

  function textView(entry, repeats) {
    const part = entry.text.slice(0, CHARACTERS_SHOWN).replace(/[\ud800-\udbff]$/, "");
    const body = element("div", { className: "class-text", dir: "auto" }, ...marked(part, entry, repeats));
    const whole = more(entry.text.length - CHARACTERS_SHOWN, "characters", (button) => {
      body.replaceChildren(...marked(entry.text, entry, repeats));
      button.remove();
      reachable(body.parentElement);
    });
    return [body, whole];
  }

  // The other wordings of one meaning; made when they are opened.
  function othersView(others, repeats) {
    if (!others.length) return null;
    const texts = element("ol");
    const held = among && others.some(({ text }) => holds(text));
    const made = element("details", { open: Boolean(held) }, element("summary", { textContent: counted(others.length, "other wording") }), texts);
    made.addEventListener("toggle", () => {
      if (!made.open || texts.firstChild) return;
      const item = (entry) => element("li", {}, element("div", { className: "class-head" }, element("b", { textContent: `${entry.count} ×` })), ...textView(entry, repeats));
      texts.append(...others.map(item));
      reachable(texts);
    });
    return made;
  }

  function more(count, what, act) {
    if (count <= 0) return null;
    const button = element("button", { type: "button", textContent: `Show ${count.toLocaleString("en")} more ${what}` });
    button.addEventListener("click", () => act(button));
    return button;
  }

  // ---- what repeats: runs of three words or more, and shorter texts, that two completions of an arm share ----

  const RUN = 3;
  const LEVELS = [0.5, 0.1, 0]; // the least shares of completions for the strongest mark, the next, the faintest
  // In scripts without spaces every character counts as a word.
  const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]|[\p{L}\p{N}\p{M}_]+(?:['’][\p{L}\p{N}\p{M}_]+)*/gu;

  // entry -> the places of its words and the mark of each (0: none); and the share of all words that have one.
  function repeated(classes, total) {
    const ids = new Map();
    const words = classes.map((entry) => [...entry.text.matchAll(WORD)].map((found) => {
      const folded = found[0].toLowerCase();
      if (!ids.has(folded)) ids.set(folded, ids.size);
      return { start: found.index, end: found.index + found[0].length, id: ids.get(folded) };
    }));
    const runs = words.map(runsOf);
    const holders = new Map();
    for (const [index, ofEntry] of runs.entries()) {
      for (const run of new Set(ofEntry)) holders.set(run, (holders.get(run) ?? 0) + classes[index].count);
    }
    const marks = new Map();
    let [all, repeating] = [0, 0];
    for (const [index, entry] of classes.entries()) {
      const levels = new Uint8Array(words[index].length);
      for (const [position, run] of runs[index].entries()) {
        const level = levelOf(holders.get(run), total);
        for (let word = position; word < position + RUN; word += 1) levels[word] = Math.max(levels[word], level); // beyond a short text's end nothing is written
      }
      marks.set(entry, { words: words[index], levels });
      all += entry.count * levels.length;
      repeating += entry.count * levels.filter(Boolean).length;
    }
    return { marks, share: all ? repeating / all : 0 };
  }

  // A name for the run that begins at each word; a text of fewer words is one run.
  function runsOf(words) {
    const starts = words.slice(0, words.length && Math.max(words.length - RUN + 1, 1));
    return starts.map((_, position) => words.slice(position, position + RUN).map(({ id }) => id).join());
  }

  const levelOf = (holders, total) => (holders < 2 ? 0 : LEVELS.length - LEVELS.findIndex((least) => holders >= least * total));

  // The text as nodes: what repeats, and the words that were searched for, in <mark> elements.
  function marked(text, entry, repeats) {
    const kinds = new Uint8Array(text.length); // a character's level, and HIT
    const HIT = 4;
    if (byId("mark-repeats").checked) {
      const { words, levels } = repeats.marks.get(entry);
      for (const [index, { start, end }] of words.entries()) {
        kinds.fill(levels[index], start, end);
        const next = words[index + 1];
        if (next) kinds.fill(Math.min(levels[index], levels[index + 1]), end, next.start);
      }
    }
    for (const pattern of among && holds(entry.text) ? patterns : []) {
      for (const found of text.matchAll(new RegExp(pattern.source, "giu"))) {
        for (let position = found.index; position < found.index + found[0].length; position += 1) kinds[position] |= HIT;
      }
    }
    const nodes = [];
    for (let start = 0, end = 0; start < text.length; start = end) {
      while (end < text.length && kinds[end] === kinds[start]) end += 1;
      const names = [kinds[start] % HIT ? `repeats-${kinds[start] % HIT}` : "", kinds[start] >= HIT ? "hit" : ""];
      const part = text.slice(start, end);
      nodes.push(kinds[start] ? element("mark", { className: names.filter(Boolean).join(" "), textContent: part }) : part);
    }
    return nodes;
  }

  // ---- from here on ----

  addEventListener("keydown", onKey);
  list.addEventListener("keydown", onListKey);
  byId("search").addEventListener("keydown", onSearchKey);
  // A link to a prompt from elsewhere on the page leads to its completions, again when the address is that already.
  document.addEventListener("click", ({ target }) => {
    const link = target instanceof Element && target.closest(`a[href^="${prefix}"]`);
    if (link && !byId("browser").contains(link)) setTimeout(() => byId("browser").scrollIntoView());
  });
  addEventListener("hashchange", () => { show(addressed()); scrollList(); });
  byId("search").addEventListener("input", ask);
  byId("search-completions").addEventListener("click", searchCompletions);
  byId("searching").querySelector("button").addEventListener("click", () => { stopSearch(); show(current); });
  byId("tag").addEventListener("change", fillList);
  byId("sort").addEventListener("change", () => { fillList(); if (listed.length) go(listed[0]); });
  byId("mark-repeats").addEventListener("change", () => show(current));
  byId("group-by")?.addEventListener("change", () => show(current));

  fillControls();
  fillList();
  const opened = addressed();
  show(opened < 0 ? (listed[0] ?? -1) : opened);
  scrollList();
  if (opened >= 0) byId("browser").scrollIntoView();
})();
