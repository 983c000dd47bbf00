// The three columns: each with its wire, what was paid, the attempts and their keys, and what is held.
import { act } from "./stream.js";
import { $, make, money, rebuild, say, times } from "./dom.js";
import { ACTIONS, COLUMNS, SEAMS, status, titleOf } from "./words.js";
import { Wire } from "./wire.js";

const CHIPS_MAX = 24;
const columns = new Map();

export function build(fail) {
  for (const { name, title, hint } of COLUMNS) {
    const held = make("div");
    const wire = new Wire(() => held.querySelector("button")?.focus());
    const paid = make("span", { className: "big", text: "0 ×" });
    const sum = make("span", { className: "soft" });
    const chips = make("ul", { className: "chips", "aria-label": `Attempts, ${title}` });
    const says = make("p", { className: "says" });
    const card = make(
      "section",
      { className: "card col", "aria-label": title },
      make("h2", { text: title }),
      make("small", { text: hint }),
      wire.element,
      held,
      make("p", { className: "paid" }, make("span", { text: "paid" }), paid, sum),
      chips,
      says,
    );
    card.dataset.column = name;
    columns.set(name, { card, wire, held, paid, sum, chips, says });
    $("columns").append(card);
  }
  for (const { chips } of columns.values()) chips.tabIndex = 0;
  $("together").dataset.ready = "yes";
  decide = (message, action) => act("act", { message, action }).catch(fail);
}

let decide = () => {};

export const wireOf = (name) => columns.get(name)?.wire;
export const clear = () => columns.forEach(({ wire }) => wire.clear());

export function show(state, veiled) {
  for (const { name } of COLUMNS) {
    const column = columns.get(name);
    const lane = state.round?.columns[name];
    const held = state.held.filter((each) => each.column === name);
    showHeld(column.held, held);
    column.wire.show({
      orderPid: state.processes.order_service[0],
      billing: state.processes.billing_service[COLUMNS.findIndex((each) => each.name === name)],
      toxic: toxicOf(state, lane),
    });
    column.wire.hold(new Set(held.map((each) => `${each.attempt}/${each.seam}`)));
    column.card.classList.toggle("veiled", veiled);
    showMoney(column, lane, state, veiled);
    showAttempts(column.chips, veiled ? undefined : lane);
  }
  showTogether(state.held);
}

function toxicOf(state, lane) {
  if (state.cut) return "answers cut";
  const last = lane?.attempts.at(-1);
  if (!last?.struck || last.answered || last.saw) return "";
  if (last.struck === "lose") return last.seam === "send" ? "limit_data ↑" : "limit_data ↓";
  return last.struck === "delay" || last.struck === "forget" ? "latency ↑" : "";
}

function kindOf(lane, price) {
  if (!lane || lane.status === "") return "";
  if (lane.moved_cents > price || (lane.moved_cents && ["failed", "declined"].includes(lane.status))) return "twice";
  if (lane.moved_cents === 0 && lane.status !== "pending") return "lost";
  return lane.moved_cents === price ? "safe" : "";
}

function showMoney({ card, paid, sum, says }, lane, state, veiled) {
  const kind = veiled ? "" : kindOf(lane, state.price_cents);
  for (const each of ["twice", "lost", "safe"]) card.classList.toggle(each, kind === each);
  const word = { twice: "too much", lost: "order lost", safe: "" }[kind] ?? "";
  say(paid, veiled ? "? ×" : times(lane?.effects ?? 0));
  paid.dataset.cents = lane ? String(lane.moved_cents) : "";
  say(sum, veiled ? "guess first" : [lane?.moved_cents ? money(lane.moved_cents) : "", word].filter(Boolean).join(" · "));
  say(says, veiled ? "" : lane ? status(lane, state.price_cents) : "Nothing was ordered yet.");
}

function showAttempts(list, lane) {
  const attempts = (lane?.attempts ?? []).slice(-CHIPS_MAX);
  const hidden = (lane?.attempts_count ?? 0) - attempts.length;
  rebuild(list, [attempts.map((a) => [a.key, a.retry, a.answered, a.saw, a.status, a.replayed, a.struck]), hidden], () => [
    ...(attempts.length ? [make("li", { className: "soft", text: "key" })] : []),
    ...(hidden > 0 ? [make("li", { className: "chip", text: `${hidden} earlier` })] : []),
    ...attempts.map((attempt) => {
      const chip = make("li", { className: "chip" }, make("b", { text: `${attempt.key}${attempt.retry ? " ?1" : ""}` }), ` ${endOf(attempt)}`);
      chip.classList.toggle("x", Boolean(attempt.saw));
      chip.classList.toggle("key", attempt.retry);
      return chip;
    }),
  ]);
  list.scrollTop = list.scrollHeight;
}

function endOf(attempt) {
  if (attempt.answered) return `${attempt.status}${attempt.replayed ? " replayed" : ""}`;
  if (attempt.saw) return "no answer";
  return "…";
}

function actionsOf(message, actions, label) {
  return make(
    "p",
    { className: "acts", role: "group", "aria-label": label },
    ...actions.map((action) => {
      const button = make("button", { type: "button", text: ACTIONS[action] });
      button.dataset.focus = action;
      button.dataset.action = action;
      button.addEventListener("click", () => decide(message, action));
      return button;
    }),
  );
}

function showHeld(box, held) {
  rebuild(box, held, () =>
    held.map((each) =>
      make(
        "div",
        { className: "held" },
        make("p", {}, make("b", { text: `attempt ${each.attempt}, key ${each.key}` }), ` is held ${SEAMS[each.seam]}, by process ${each.pid}.`),
        actionsOf(each.number, each.actions, `What happens to attempt ${each.attempt} of ${titleOf(each.column)}`),
      ),
    ),
  );
}

function showTogether(held) {
  const box = $("together");
  const first = held[0];
  const alike = first ? held.filter((each) => each.seam === first.seam) : [];
  box.hidden = alike.length < 2;
  rebuild(box, [first?.seam, alike.length, first?.actions], () =>
    alike.length < 2
      ? []
      : [make("p", { text: `${alike.length} messages are held ${SEAMS[first.seam]}. The same for all of them:` }), actionsOf(0, first.actions, "What happens to all of them")],
  );
}
