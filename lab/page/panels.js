// What the plays have shown so far: the two halves, the table, the harm, the challenge.
import { act } from "./stream.js";
import { $, make, money, rebuild, say, times } from "./dom.js";
import { COLUMNS, happened, titleOf } from "./words.js";

// The text that the caller sees does not say whether the customer has paid.
function reply(guess, paid) {
  if (guess === "unknown") return `Right: the text does not say. In truth the customer has ${paid ? "" : "not "}paid.`;
  if ((guess === "yes") === paid) return "You are right, by luck: other situations show the same text.";
  return `No: the customer has ${paid ? "" : "not "}paid. The text does not say.`;
}

// The halves tell of the round that is over; `guess` is what was guessed, "" while it is open, null when nobody asked.
export function halves(state, guess) {
  const round = state.round;
  const lane = round?.columns[COLUMNS[0].name];
  const saw = lane?.caller_saw ?? "";
  const box = $("halves");
  box.hidden = !saw;
  if (!saw) return;
  const answered = lane.attempts[0]?.answered;
  say($("saw"), answered ? `201 Created` : saw);
  const same = state.table.filter((row) => Object.values(row.cells).some((cell) => cell && cell.saw === saw)).map((row) => row.title);
  say($("same"), answered ? "An answer came: the caller knows." : same.length > 1 ? `The same text, letter by letter, in: ${same.join("; ")}.` : "This is all that the caller gets to know.");
  $("guess").hidden = guess === null || answered;
  for (const button of $("guess").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.guess === guess));
  const hidden = guess === "" && !answered;
  const paid = COLUMNS.map(({ name, title }) => `${title}: paid ${times(round.columns[name].effects)}`).join("; ");
  say($("happened"), hidden ? "Shown after your guess." : `${guess ? `${reply(guess, lane.moved_cents > 0)} ` : ""}${happened(lane)} ${round.over ? `${paid}.` : ""}`);
  const witnesses = hidden ? [] : (lane.attempts[0]?.witnesses ?? []);
  rebuild($("witnesses"), witnesses, () => witnesses.map(({ claim, seen }) => make("li", { text: `${seen ? "✓ seen" : "✗ not seen"}: ${claim}` })));
}

export function table(state, open, play, veiled) {
  rebuild($("table"), [state.table, veiled, state.round?.number], () => [
    make(
      "thead",
      {},
      make("tr", {}, make("th", { scope: "col", text: "what happened to the first attempt" }), ...COLUMNS.map(({ title }) => make("th", { scope: "col", text: title })), make("th", { scope: "col" }, make("span", { className: "only-heard", text: "play it" }))),
    ),
    make(
      "tbody",
      {},
      ...state.table.map((row, index) => {
        const again = make("button", { type: "button", text: "play it", "aria-label": `Play: ${row.title}` });
        again.dataset.focus = `play ${row.name}`;
        again.addEventListener("click", () => play(row.name));
        return make("tr", {}, make("th", { scope: "row", text: `${index + 1} ${row.title}` }), ...COLUMNS.map(({ name }) => cell(row, name, open, veiled && row.cells[name]?.round === state.round?.number)), make("td", {}, again));
      }),
    ),
  ]);
}

function cell(row, name, open, hidden) {
  const found = row.cells[name];
  if (!found || hidden) return make("td", {}, make("span", { className: "none", text: hidden ? "?" : "–", "aria-label": hidden ? "guess first" : "not played yet" }));
  const wrong = found.effects > 1 ? "paid twice" : found.effects < 1 ? "lost" : "";
  const button = make("button", { type: "button", className: found.effects > 1 ? "bad" : found.effects < 1 ? "warn" : "good", text: `${Number(found.effects.toFixed(2))}${wrong ? ` ${found.effects > 2 ? `paid ${found.effects} ×` : wrong}` : ""}` });
  if (found.effects > 2) button.textContent = `paid ${found.effects} ×`;
  button.setAttribute("aria-label", `${row.title}, ${titleOf(name)}: ${button.textContent}. Show its diagram.`);
  button.dataset.focus = `${row.name} ${name}`;
  button.dataset.cell = `${row.name} ${name}`;
  button.addEventListener("click", () => open(found.round, name));
  return make("td", {}, button);
}

export function harm(state, veiled) {
  const { taken_cents: taken, lost } = state.harm;
  rebuild($("harm"), [taken, lost, veiled], () => veiled ? ["Harm so far: shown after your guess."] : [
    "Harm so far: ",
    make("b", { className: taken ? "bad" : "", text: `${money(taken)} taken too much` }),
    ", ",
    make("b", { className: lost ? "warn" : "", text: `${lost} ${lost === 1 ? "order" : "orders"} lost` }),
    ".",
  ]);
}

export function challenge(state, protections, fail) {
  const { tries, faults, hurt, promise, claim } = state.challenge;
  const planted = protections.find((each) => each.bug === state.bug);
  const counted = `${tries} ${tries === 1 ? "try" : "tries"}, ${faults} witnessed ${faults === 1 ? "fault" : "faults"}, hurt ${hurt} ${hurt === 1 ? "time" : "times"}.`;
  say($("challenge"), planted ? `With this protection taken away: ${counted}` : `Every fault is allowed. So far: ${counted} ${tries ? "It does not succeed: the key was written down before the first attempt, and billing remembers it. " : ""}So take a protection away, and see what it was good for:`);
  const box = $("planted");
  box.hidden = !planted;
  rebuild(box, [state.bug, hurt, promise, claim, state.busy], () => (planted ? [...explain(planted, hurt, promise, claim, fail)] : []));
  rebuild($("protections"), [protections.length, state.bug, state.busy], () =>
    protections.map((each) => {
      const button = make("button", { type: "button", disabled: Boolean(state.busy) }, make("b", { text: each.title }), make("br"), make("small", { text: each.is }));
      button.setAttribute("aria-pressed", String(each.bug === state.bug));
      button.dataset.focus = each.bug;
      button.dataset.bug = each.bug;
      button.addEventListener("click", () => act("plant", { bug: each.bug === state.bug ? "" : each.bug }).catch(fail));
      return button;
    }),
  );
}

function* explain(planted, hurt, promise, claim, fail) {
  yield make("p", {}, make("b", { text: `Taken away: ${planted.title}.` }), ` ${planted.hint_says}`);
  if (hurt) {
    yield make("p", {}, make("b", { className: "bad", text: `Promise ${promise} is broken: ${claim}.` }));
    yield make("p", {}, planted.why, " The line of code: ", make("code", { text: planted.code }));
  }
  const hint = make("button", { type: "button", text: hurt ? "Once more" : "Make it hurt", className: "main" });
  hint.dataset.focus = "hint";
  hint.dataset.hint = planted.hint;
  hint.addEventListener("click", () => act("order", { situation: planted.hint }).catch(fail));
  const back = make("button", { type: "button", text: "Put it back" });
  back.dataset.focus = "back";
  back.dataset.back = "yes";
  back.addEventListener("click", () => act("plant", { bug: "" }).catch(fail));
  yield make("p", { className: "acts" }, hint, back);
}
