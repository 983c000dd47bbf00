// The tour: eight steps of one action and one sentence each. Its length is always visible; arrow keys go forward and back.
import { $, make, rebuild, say, times } from "./dom.js";

const MINUTES = 5;
const paid = (state, name) => times(state.round.columns[name].effects);
const all = (state) => `at most once paid ${paid(state, "at_most_once")}, at least once ${paid(state, "at_least_once")}, with the key ${paid(state, "exactly_once")}`;

// `situation` places an order; `guess` hides what happened until the user has guessed; `hold` is the pressed button.
export const STEPS = [
  {
    text: "A customer orders a book. The order service asks billing to withdraw 19.99, and billing answers. Three columns send the same order under three rules.",
    label: "Order a book", situation: "success",
    after: (s) => `Nothing went wrong, so all rules look alike: ${all(s)}.`,
  },
  {
    text: "Now something goes wrong between the two services. The caller sees one line of text, below. Has the customer paid? Guess.",
    label: "Order a book; something goes wrong", situation: "response_lost", guess: true,
    after: (s) => `The charge was executed, and only its answer was lost. Sent again with a fresh key, it is withdrawn again. Sent again with the same key, billing finds the first charge and only repeats its answer: ${all(s)}.`,
  },
  {
    text: "Something else goes wrong, and the caller sees the same text. Has this customer paid?",
    label: "Order a book; something else goes wrong", situation: "request_lost", guess: true,
    after: (s) => `This time the request was lost, and nothing was executed. Not sending again loses the order: ${all(s)}.`,
  },
  {
    text: "A third fault, and the same text again. Has this customer paid?",
    label: "Order a book; a third fault", situation: "crash_after_execution", guess: true,
    after: (s) => `Billing committed the charge and died. The next process finds the key in Postgres and replays the answer: ${all(s)}.`,
  },
  {
    text: "The fourth and last fault. The text is the same. What should a caller do that cannot know?",
    label: "Order a book; a fourth fault", situation: "crash_before_execution", guess: true,
    after: (s) => `Billing died before it executed anything. Four faults, one text: only a key that stays the same makes it safe to send again. ${all(s)}.`,
  },
  {
    text: "Keep the button pressed (or hold the space bar on it). Every answer is lost while you do. Watch the column in the middle, then let go.",
    label: "Hold to cut the answers", hold: true,
    after: (s) => `One book, one outage: ${all(s)}.`,
  },
  {
    text: "Networks also deliver late. This request arrives after its caller has given up and its retry was executed.",
    label: "Order a book, delay the request", situation: "late",
    after: (s) => `The late original found its key processed already, and changed nothing: ${all(s)}.`,
  },
  {
    text: "Why is the right column safe? Take its unique index away. Billing restarts without it, and the answer is lost once more.",
    label: "Take the unique index away, lose the answer", plan: "!no_unique_constraint;*r1l;!",
    after: (s) => `Without the index the right column pays too: ${all(s)}. The index is back now. The challenge below has seven more protections to take away.`,
  },
];

// On a small screen the question is far below.
function guessButton() {
  const button = make("button", { type: "button", text: "Guess first ↓" });
  button.addEventListener("click", () => {
    $("halves").scrollIntoView();
    $("guess").querySelector("button").focus({ preventScroll: true });
  });
  return button;
}

export class Tour {
  constructor({ order, hold, plan, left, changed }) {
    this.do = { order, hold, plan, left, changed };
    this.at = Math.min(Number(sessionStorage.getItem("tour") ?? 0) || 0, STEPS.length);
    // For each step the number of the round that it has played.
    this.played = JSON.parse(sessionStorage.getItem("played") ?? "{}");
    $("tour-next").addEventListener("click", () => this.go(this.at + 1));
    $("tour-back").addEventListener("click", () => this.go(this.at - 1));
    $("tour-leave").addEventListener("click", () => this.go(this.at < STEPS.length ? STEPS.length : 0));
    document.addEventListener("keydown", (event) => {
      const busy = event.target.closest("input, select, dialog, [tabindex='0']");
      if (busy || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowRight") this.go(this.at + 1);
      else if (event.key === "ArrowLeft") this.go(this.at - 1);
      else return;
      event.preventDefault();
    });
    const button = $("tour-action");
    button.addEventListener("click", () => {
      const step = this.step;
      if (step?.situation) this.do.order(step.situation, Boolean(step.guess));
      else if (step?.plan) this.do.plan(step.plan);
    });
    this.do.hold(button, () => Boolean(this.step?.hold));
  }

  get step() {
    return STEPS[this.at];
  }

  go(to) {
    this.at = Math.max(0, Math.min(STEPS.length, to));
    sessionStorage.setItem("tour", String(this.at));
    this.do.left();
    this.do.changed();
    if (this.step) $("tour-action").focus();
  }

  // The order that the current step has placed.
  placed(number) {
    if (!this.step) return;
    this.played[this.at] = number;
    sessionStorage.setItem("played", JSON.stringify(this.played));
  }

  forget() {
    this.played = {};
    sessionStorage.removeItem("played");
  }

  show(state, veiled) {
    const step = this.step;
    const minutes = Math.max(1, Math.round(MINUTES * (1 - this.at / STEPS.length)));
    rebuild($("tour-dots"), this.at, () => STEPS.map((_, index) => make("i", { className: index <= this.at ? "on" : "" })));
    say($("tour-where"), step ? `step ${this.at + 1} of ${STEPS.length}, about ${minutes} min left` : "over: this is free play");
    $("tour-back").disabled = this.at === 0;
    $("tour-next").disabled = !step;
    say($("tour-leave"), step ? "free play" : "tour again");
    say($("tour-text"), step ? step.text : "Choose what goes wrong, or stop each message and decide yourself: pass, lose, delay, copy, or kill the process that holds it.");
    $("tour-action").parentElement.hidden = !step;
    if (!step) return void rebuild($("tour-after"), "", () => []);
    say($("tour-action"), step.label);
    $("tour-action").classList.toggle("hold", Boolean(step.hold));
    $("tour-action").classList.toggle("main", !step.hold);
    const round = state.round;
    const done = round && round.number === this.played[this.at] && round.over && !veiled && !state.busy;
    const open = !done && veiled && round?.over;
    const after = done ? step.after(state) : open ? "guess" : "";
    rebuild($("tour-after"), after, () => [open ? guessButton() : after]);
    $("tour").dataset.done = done ? String(this.at) : "";
  }
}
