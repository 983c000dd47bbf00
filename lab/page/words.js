// What the page says: the names of things, and one sentence for each that happens.
export const COLUMNS = [
  { name: "at_most_once", title: "at most once", hint: "sends once, and never again" },
  { name: "at_least_once", title: "at least once", hint: "sends again, with a fresh key each time" },
  { name: "exactly_once", title: "at least once + sequence key", hint: "same key again, with the retry flag ?1" },
];
export const titleOf = (name) => COLUMNS.find((column) => column.name === name)?.title ?? name;

export const CAUSES = [
  ["success", "1 nothing"],
  ["response_lost", "2 the answer is lost"],
  ["crash_after_execution", "3 crash after executing"],
  ["crash_before_execution", "4 crash before executing"],
  ["request_lost", "5 the request is lost"],
  ["late", "the request comes late"],
  ["forgotten", "it comes when its key is forgotten"],
  ["twin", "two copies at one moment"],
  ["copied", "a copy comes later"],
];

export const ACTIONS = {
  pass: "let it pass",
  lose: "lose it",
  delay: "delay it",
  forget: "delay it until its key is forgotten",
  copy: "copy it",
  kill: "kill the process",
};

export const SEAMS = {
  send: "before sending",
  arrival: "on arrival at billing",
  reply: "after the commit and before the reply",
};

const HAPPENED = {
  success: "The charge was executed and answered.",
  response_lost: "Executed and committed. The answer was lost at Toxiproxy.",
  crash_after_execution: "Executed and committed. Then billing died before it replied.",
  crash_before_execution: "Billing received the request and died before it executed anything.",
  request_lost: "The request was lost at Toxiproxy. Billing never saw it.",
};

export function happened(lane) {
  const first = lane.attempts[0];
  if (lane.situation) return HAPPENED[lane.situation];
  if (first?.struck === "delay" || first?.struck === "forget") return "The request was only late. It arrived after its caller had given up.";
  if (first?.struck === "copy") return "The network delivered the request twice.";
  if (first?.struck === "kill" && first.seam === "send") return "The order service died before it sent the request.";
  return "Something else than the five situations of the table.";
}

export function status(lane, price) {
  const paid = lane.moved_cents;
  const told = lane.told === 1 ? " The customer was told once." : lane.told > 1 ? ` The customer was told ${lane.told} times.` : "";
  switch (lane.status) {
    case "": return "not recorded yet";
    case "pending": return lane.attempts_count > 1 ? "pending: the order service sends again until there is an answer" : "pending";
    case "unknown": return paid > 0 ? "unknown: paid, and the caller will never know" : "unknown: not paid, and the caller will never know";
    case "billed": {
      if (paid > price) return `billed: ${(paid / 100).toFixed(2)} taken for one book of ${(price / 100).toFixed(2)}.${tooMuch(lane)}${told}`;
      if (paid < price) return `billed, and no money was taken.${told}`;
      return `billed, once${once(lane)}.${told}`;
    }
    case "failed": return paid ? "failed, and the money is gone" : "failed: nothing was taken";
    default: return lane.status;
  }
}

// Why it was billed once, by what the services reported of its attempts; empty when there was one.
function once(lane) {
  const replay = lane.attempts.find((attempt) => attempt.replayed);
  if (replay) return `: billing knew key ${replay.key} and repeated its answer, instead of withdrawing again`;
  return lane.attempts_count > 1 && !lane.attempts[0].executed ? ": the first attempt had withdrawn nothing" : "";
}

function tooMuch(lane) {
  const keys = new Set(lane.attempts.map((attempt) => attempt.key)).size;
  return keys > 1 ? " For billing each key is another charge." : lane.attempts_count > 1 ? " Its attempts had one key, and billing withdrew again." : "";
}

const at = (event) => `${titleOf(event.column)}: `;
const key = (event) => `key ${event.key}${event.retry ? " ?1" : ""}`;
const SENTENCES = {
  placed: (e) => `Order ${e.number}: a book is ordered in all three columns.`,
  ordered: (e) => `${at(e)}the customer's order reaches the order service (process ${e.pid}).`,
  sends: (e) => `${at(e)}attempt ${e.attempt}, ${key(e)}, is about to leave the order service.`,
  arrives: (e) => `${at(e)}attempt ${e.attempt} arrives at billing (process ${e.pid})${e.late ? ", late: its caller has given up" : ""}.`,
  replies: (e) => `${at(e)}billing has committed attempt ${e.attempt} and replies ${e.status}${e.replayed ? ", replayed" : ""}${e.late ? "; the caller has given up" : ""}.`,
  answered: (e) => `${at(e)}the caller has the answer ${e.status} to attempt ${e.attempt}.`,
  "gave up": (e) => `${at(e)}the caller got no answer to attempt ${e.attempt}: ${e.saw}.`,
  struck: (e) => `${at(e)}attempt ${e.attempt}, ${SEAMS[e.seam]}: ${ACTIONS[e.action]}.`,
  lost: (e) => `${at(e)}the ${e.seam === "send" ? "request" : "answer"} of attempt ${e.attempt} was lost at Toxiproxy; the toxic is removed.`,
  crashed: (e) => `${at(e)}process ${e.pid} of ${e.service} died.`,
  restarted: (e) => `${at(e)}${e.service} runs again, as process ${e.pid}.`,
  copied: (e) => `${at(e)}the copy of attempt ${e.attempt} was answered ${e.status}${e.replayed ? ", replayed" : ""}.`,
  "copy arrives": (e) => `${at(e)}a copy with key ${e.key} arrives at billing.`,
  paid: (e) => `${at(e)}${(e.moved_cents / 100).toFixed(2)} have left the account so far.`,
  notifies: (e) => `${at(e)}the order service sends the notification, once.`,
  notified: (e) => `${at(e)}the notification arrives.`,
  "customer was told": (e) => `${at(e)}the customer sees ${e.saw}.`,
  cut: () => "All answers are being cut.",
  healed: () => "The faults are ended.",
  restarts: (e) => (e.bug ? `Services restart with a planted bug: ${e.bug}.` : "Services restart as they are."),
  over: (e) => `Order ${e.number} is over.`,
  notice: (e) => e.text,
  shell: (e) => e.line,
};
export const sentence = (event) => SENTENCES[event.kind]?.(event) ?? "";
