// Puts the page together: the state that the server tells, what the user does, and what is hidden until a guess.
import { act, Stream } from "./stream.js";
import { $, make, rebuild, say } from "./dom.js";
import * as columns from "./columns.js";
import * as panels from "./panels.js";
import { hold } from "./hold.js";
import { openDiagram } from "./dialog.js";
import { Tour } from "./tour.js";
import { CAUSES, sentence } from "./words.js";
import { pace } from "./wire.js";

const LOG_MAX = 400;
let state = null;
let protections = [];
// The round that is to be guessed, and what was guessed.
const veil = { number: 0, guess: null };
// This page has placed the next order that appears, for the tour's step or for a guess.
let mine = null;
// Events of a round that is veiled are shown once more after the guess.
let recorded = [];

let local = "";
function fragment() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}
let lastShell = "nothing yet";
// A click is answered at once; what comes of it, the server says.
let sending = false;
function send(now) {
  sending = now;
  for (const id of ["order", "tour-action"]) $(id).setAttribute("aria-busy", String(now));
}
const fail = (error) => {
  send(false);
  local = error.message;
  say($("notice"), local);
  $("notice").hidden = false;
  render();
};
const isVeiled = () => Boolean(state?.round) && veil.number === state.round.number && veil.guess === "";

async function order(situation, guess = $("hide").checked) {
  if (sending) return;
  local = "";
  send(true);
  mine = { guess: guess && situation !== "success" };
  try {
    const { number } = await act("order", { situation });
    began(number);
  } catch (error) {
    mine = null;
    fail(error);
  }
}

function began(number) {
  send(false);
  if (!mine) return;
  veil.number = number;
  veil.guess = mine.guess ? "" : null;
  mine = null;
  tour.placed(number);
  render();
}

async function plan(text) {
  if (sending) return;
  local = "";
  send(true);
  mine = { guess: false };
  try {
    await act("play", { plan: text });
    send(false);
  } catch (error) {
    mine = null;
    fail(error);
  }
}

const tour = new Tour({
  order,
  plan,
  left: () => { if (veil.guess === "") veil.guess = null; },
  changed: () => render(),
  hold: (button, active) => hold(button, active, (on) => {
    if (on && !(state?.round && !state.round.over)) mine = { guess: false };
    return act("cut", { on });
  }, fail),
});

function render() {
  if (!state) return;
  const veiled = isVeiled();
  columns.show(state, veiled);
  panels.halves(state, veil.number === state.round?.number ? veil.guess : null);
  panels.table(state, (number, column) => openDiagram(number, column, fail), order, veiled);
  panels.harm(state, veiled);
  say($("shell"), veiled ? "shown after your guess" : lastShell);
  panels.challenge(state, protections, fail);
  tour.show(state, veiled);
  const busy = state.busy || (state.round && !state.round.over);
  $("order").disabled = Boolean(busy);
  document.body.dataset.over = state.round?.over ? state.round.number : "";
  $("step").checked = state.step;
  $("cut").classList.toggle("pressed", state.cut);
  const notice = state.notice || local || state.busy;
  $("notice").hidden = !notice;
  say($("notice"), notice);
  if (state.plan && state.round?.over) history.replaceState(null, "", `#${state.plan}`);
}

function heard(event) {
  const text = sentence(event);
  if (text) {
    const log = $("log");
    log.append(make("li", { text }));
    if (log.childElementCount > LOG_MAX) log.firstElementChild.remove();
  }
  if (event.kind === "shell") lastShell = event.line;
  if (event.past) return;
  if (event.kind === "placed") {
    columns.clear();
    recorded = [];
    began(event.number);
    $("log").scrollTop = $("log").scrollHeight;
  }
  if (event.column) {
    if (recorded.length < 400) recorded.push(event);
    columns.wireOf(event.column)?.push(event);
  }
  if (["over", "restarts", "notice"].includes(event.kind)) say($("said"), text);
}

function guessed(answer) {
  veil.guess = answer;
  // Now one may see it: the same events once more, from the beginning.
  columns.clear();
  for (const event of recorded) columns.wireOf(event.column)?.push(event);
  render();
  if (tour.step) $("tour-next").focus();
}

function gone(text, forGood = false) {
  $("gone").hidden = !text;
  rebuild($("gone"), [text, forGood], () => {
    const again = make("button", { type: "button", text: "load the page again" });
    again.addEventListener("click", () => location.reload());
    return forGood ? [text, again] : [text];
  });
}

columns.build(fail);
for (const [name, title] of CAUSES) {
  const input = make("input", { type: "radio", name: "cause", value: name, checked: name === "success" });
  $("causes").append(make("label", {}, input, make("span", { text: title })));
}
$("order").addEventListener("click", () => order(document.querySelector("input[name=cause]:checked").value));
$("heal").addEventListener("click", () => { local = ""; act("heal").catch(fail); });
$("step").addEventListener("change", (event) => act("step", { on: event.target.checked }).catch(fail));
$("speed").addEventListener("change", (event) => { pace.speed = Number(event.target.value); });
hold($("cut"), () => true, (on) => act("cut", { on }), fail);
for (const button of document.querySelectorAll("[data-guess]")) button.addEventListener("click", () => guessed(button.dataset.guess));
const copy = async (text, said) => {
  try {
    await navigator.clipboard.writeText(text);
    say($("copied"), said);
  } catch {
    say($("copied"), `Copy it by hand: ${text}`);
  }
};
$("link").addEventListener("click", () => copy(`${location.origin}/#${state?.plan ?? ""}`, "The link is copied."));
$("copy-shell").addEventListener("click", () => copy($("shell").textContent, "The command is copied."));

fetch("/protections").then((response) => response.json()).then((found) => { protections = found; render(); }, () => {});
// A page that is loaded again goes on with what runs; one that is opened with a plan plays it.
const arrived = performance.getEntriesByType("navigation")[0]?.type;
const asked = arrived === "reload" ? "" : fragment();
addEventListener("hashchange", () => { if (fragment() && fragment() !== state?.plan) plan(fragment()); });
new Stream({
  state: (now) => {
    const first = state === null;
    state = now;
    if (first && !now.round) tour.forget();
    if (first && asked && asked !== now.plan) plan(asked);
    say($("price"), (now.price_cents / 100).toFixed(2));
    render();
  },
  event: heard,
  anew: () => { $("log").replaceChildren(); columns.clear(); },
  gone,
}).open();
