// The page on which people choose. What the server sends is shown as text, never as HTML, but for the owner's
// instructions, which the server made safe.
"use strict";

const KEYS = { 1: "first", ArrowLeft: "first", 2: "second", ArrowRight: "second", 0: "tie", b: "both_bad", s: "skip" };
const NAMES = { first: "Answer 1", second: "Answer 2" };
const ROLES = { system: "System", user: "User", assistant: "Assistant" };
const AGAIN = 1500; // milliseconds until a request that was not answered is sent again
const SIGN = 60000; // milliseconds between signs that somebody is here
const TICK = 250;
const LONGEST_TICK = 1000; // more between two ticks is a sleep, not somebody who reads

const one = (id) => document.getElementById(id);
const link = new URLSearchParams(location.hash.slice(1));
let rater = link.get("rater") ?? "";
let task = null;
let view = null; // what the server last said
let chosen = null; // while strength or reason are asked for
let isBusy = false;
let isReading = false; // the instructions
let wasActive = true;
let seconds = 0; // for which the pair was to be seen
let lastTick = performance.now();

class Refusal extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function send(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (link.has("key")) headers.Authorization = `Bearer ${link.get("key")}`;
  const options = { method: "POST", headers, body: JSON.stringify({ rater, ...body }), cache: "no-store" };
  const reply = await fetch(path, options);
  const told = await reply.json();
  if (!reply.ok) throw new Refusal(reply.status, told.error);
  return told;
}

// Sends until there is an answer: the server takes the same request twice for one.
async function call(path, body) {
  for (;;) {
    try {
      return await send(path, body);
    } catch (error) {
      if (error instanceof Refusal && error.status !== 503) throw error;
      const why = error instanceof Refusal ? error.message : "There is no connection to the server.";
      say(`${why} Your last choice is not saved yet; trying again …`);
      await new Promise((resolve) => { setTimeout(resolve, AGAIN); });
    }
  }
}

async function enter(note = "") {
  const told = await call("api/enter", {});
  task = told.task;
  one("told").innerHTML = task.instructions;
  one("help").hidden = !task.instructions;
  one("who").textContent = `${rater} · ${task.group}`;
  for (const button of document.querySelectorAll("[data-choice]")) button.hidden = !task.choices.includes(button.dataset.choice);
  const isNew = task.instructions && sessionStorage.getItem("read") !== task.instructions;
  show({ ...told, note: note || told.note });
  if (isNew) read(true);
}

// One thing at a time; a refusal is shown, and the page asks anew where it stands.
async function doing(what) {
  if (isBusy) return;
  isBusy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    await what();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if ([401, 403, 421].includes(error.status)) end("This page cannot go on", error.message, false);
    else if (error.status === 422 && !task) { say(error.message); one("entry").hidden = false; }
    else if (error.status === 422) say(error.message);
    else await enter(error.message);
  } finally {
    isBusy = false;
    document.body.removeAttribute("aria-busy");
  }
}

function show(told) {
  view = told;
  chosen = null;
  one("entry").hidden = true;
  one("more").hidden = true;
  one("more").reset();
  say(view.note);
  showProgress(view.progress);
  markChosen();
  one("undo").disabled = !view.undo;
  const { pair } = view;
  one("pair").hidden = !pair;
  one("end").hidden = true;
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.hidden = !pair || !task.choices.includes(button.dataset.choice);
  }
  one("actions").hidden = !pair && !view.undo;
  if (!pair) {
    if (view.stopped) end("This is the end", view.stopped, false);
    else end("Nothing is left for you", "Thank you! All that you can be asked has been asked.", true);
    return;
  }
  one("turns").replaceChildren(...pair.turns.map((turn) => turnOf(turn, pair.turns.length > 1)));
  fill("first-text", pair.first);
  fill("second-text", pair.second);
  const kept = JSON.parse(sessionStorage.getItem("seconds") ?? "{}");
  seconds = kept.seat === pair.seat && kept.opening === pair.opening ? kept.seconds : 0;
  lastTick = performance.now();
  scrollTo(0, 0);
  one("prompt").focus({ preventScroll: true });
}

function turnOf({ role, text }, isNamed) {
  const turn = document.createElement("div");
  turn.className = `turn ${role}`;
  if (isNamed || role !== "user") {
    const name = document.createElement("span");
    name.className = "role";
    name.textContent = ROLES[role] ?? role;
    turn.append(name);
  }
  const words = document.createElement("div");
  words.dir = "auto";
  words.textContent = text;
  turn.append(words);
  return turn;
}

function fill(id, text) {
  const place = one(id);
  place.dir = "auto";
  place.textContent = text || "(an empty answer)";
  place.classList.toggle("empty", !text);
}

function showProgress({ own, all, wanted, perMinute }) {
  const parts = [`You: ${own}`];
  if (wanted) parts.push(`all together: ${Math.min(all, wanted)} of ${wanted}`);
  if (perMinute && own > 2) parts.push(`${perMinute} a minute`);
  one("counts").textContent = parts.join(" · ");
  one("meter").hidden = !wanted;
  if (wanted) { one("meter").max = wanted; one("meter").value = all; }
  one("progress").hidden = false;
}

function end(title, text, canLook) {
  for (const id of ["entry", "pair"]) one(id).hidden = true;
  one("end").hidden = false;
  one("end-title").textContent = title;
  one("end-text").textContent = text;
  one("again").hidden = !canLook;
  one("end").focus({ preventScroll: true });
}

function say(text) { one("note").textContent = text ?? ""; }

function markChosen() {
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.choice === chosen));
  }
  for (const id of ["first", "second"]) one(id).classList.toggle("chosen", chosen === id);
}

function choose(choice) {
  if (isBusy || isReading || !view?.pair || !task.choices.includes(choice)) return;
  const isSide = choice in NAMES;
  const asks = choice !== "skip" && ((task.strength && isSide) || task.reason);
  chosen = choice;
  markChosen();
  if (!asks) { submit(); return; }
  one("strengths").hidden = !(task.strength && isSide);
  one("reasons").hidden = !task.reason;
  one("more").hidden = false;
  if (!one("strengths").hidden) one("strengths").querySelector("input").focus({ preventScroll: true });
}

function submit() {
  const said = new FormData(one("more"));
  const strength = chosen in NAMES && said.get("strength") ? Number(said.get("strength")) : null;
  const reason = chosen !== "skip" ? one("reason").value : "";
  tick();
  const { seat, opening } = view.pair;
  const answer = { seat, opening, choice: chosen, seconds, strength, reason };
  doing(async () => show(await call("api/answer", answer)));
}

function goBack() {
  chosen = null;
  one("more").hidden = true;
  markChosen();
  one("prompt").focus({ preventScroll: true });
}

function undo() {
  if (view?.undo && !isReading) doing(async () => show(await call("api/undo", view.undo)));
}

function read(isOpen) {
  isReading = isOpen;
  one("instructions").hidden = !isOpen;
  one("help").setAttribute("aria-expanded", String(isOpen));
  one("pair").hidden = isOpen || !view?.pair;
  one("actions").hidden = isOpen || (!view?.pair && !view?.undo);
  if (isOpen) { one("instructions").focus({ preventScroll: true }); return; }
  sessionStorage.setItem("read", task.instructions);
  one("prompt").focus({ preventScroll: true });
}

// Time counts while the pair can be seen: not behind another tab, not while the machine sleeps.
function tick() {
  const now = performance.now();
  if (!document.hidden && !isReading && view?.pair) {
    seconds += Math.min(now - lastTick, LONGEST_TICK) / 1000;
    const { seat, opening } = view.pair;
    sessionStorage.setItem("seconds", JSON.stringify({ seat, opening, seconds }));
  }
  lastTick = now;
}

// Tells the server that the pair is still looked at, and learns whether it still is this page's.
async function sign() {
  if (document.hidden || isBusy || !view?.pair) return;
  wasActive = false;
  const { seat } = view.pair;
  let told;
  try {
    told = await send("api/sign", { seat });
  } catch {
    return; // the next choice will tell of it
  }
  if (!told.theirs && view?.pair?.seat === seat) doing(() => enter("The pair that was here is closed; this is another."));
}

function onKey(event) {
  wasActive = true;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !task) return;
  const { key, target } = event;
  const isTyping = target.matches("textarea, input:not([type=radio])");
  const isAsking = !one("more").hidden;
  const does = keyed(key.length === 1 ? key.toLowerCase() : key, isTyping, isAsking, target, event.shiftKey);
  if (does) { event.preventDefault(); does(); }
}

// What a key does now; nothing, where it is the browser's.
function keyed(key, isTyping, isAsking, target, isShifted) {
  if (isReading) return ["Enter", "Escape", "?"].includes(key) && !target.matches("a") ? () => read(false) : null;
  if (isAsking && key === "Escape") return goBack;
  if (isAsking && key === "Enter" && !isShifted && target.id !== "back") return submit;
  if (isTyping) return null;
  if (isAsking && !one("strengths").hidden && ["1", "2", "3"].includes(key)) return () => grade(key);
  if (isAsking && key === "r" && task.reason) return () => one("reason").focus();
  if (key === "u") return undo;
  if (key === "?" && task.instructions) return () => read(true);
  return key in KEYS ? () => choose(KEYS[key]) : null;
}

function grade(strength) { one("more").querySelector(`[value="${strength}"]`).checked = true; }

function begin() {
  rater = rater.trim();
  if (rater) { doing(enter); return; }
  one("entry").hidden = false;
  one("name").focus();
}

one("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  rater = one("name").value.trim();
  if (!rater) return;
  link.set("rater", rater);
  history.replaceState(null, "", `#${link}`);
  doing(enter);
});
one("more").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
one("back").addEventListener("click", goBack);
one("undo").addEventListener("click", undo);
one("again").addEventListener("click", () => doing(enter));
one("help").addEventListener("click", () => read(!isReading));
one("begin").addEventListener("click", () => read(false));
for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => choose(button.dataset.choice));
}
for (const kind of ["pointermove", "touchstart", "scroll"]) {
  addEventListener(kind, () => { wasActive = true; }, { passive: true });
}
addEventListener("keydown", onKey);
addEventListener("hashchange", () => location.reload());
document.addEventListener("visibilitychange", () => { tick(); sign(); });
setInterval(tick, TICK);
setInterval(() => { if (wasActive) sign(); }, SIGN);
begin();
