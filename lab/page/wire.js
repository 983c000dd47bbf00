// The wire of one column: messages as dots, moved at a speed that an eye can follow. What happened is queued and shown in
// its order; nothing is shown that was not reported.
import { make, reduced, say } from "./dom.js";

// Where the stations stand, in percent of the width and pixels from the top.
const PLACE = { customer: [9, 49], order: [29.5, 49], toxi: [50, 49], billing: [70.5, 49], pg: [91, 49], side: [50, 99], told: [70.5, 99], leg: [29.5, 99] };
const HOP_MS = 420;
// With more waiting than this the dots hurry, so that the wire does not stay behind what is true already.
const LAG = 8;
const QUEUE_MAX = 200;
export const pace = { speed: 1 };

export class Wire {
  constructor(onHeldClick) {
    this.onHeldClick = onHeldClick;
    this.queue = [];
    this.running = false;
    this.dots = new Map();
    this.nodes = {};
    this.element = make("div", { className: "wire" });
    this.element.setAttribute("aria-hidden", "true");
    this.element.append(make("div", { className: "rail main" }), make("div", { className: "rail side" }), make("div", { className: "rail leg" }));
    for (const [name, label, right] of [["customer", "customer"], ["order", "order"], ["toxi", "Toxiproxy", true], ["billing", "billing", true], ["pg", "Postgres", true]]) {
      const node = make("div", { className: `node${right ? " right" : ""}` }, make("i"), make("span", { text: label }), make("small"));
      node.style.left = `${PLACE[name][0]}%`;
      this.nodes[name] = node;
      this.element.append(node);
    }
    const told = make("div", { className: "node low right" }, make("i"), make("span", { text: "notification" }));
    told.style.left = "70.5%";
    this.element.append(told);
  }

  clear() {
    this.queue.length = 0;
    for (const dot of this.dots.values()) dot.element.remove();
    this.dots.clear();
    this.element.querySelectorAll(".dot").forEach((dot) => dot.remove());
  }

  show({ orderPid, billing, toxic }) {
    say(this.nodes.order.lastChild, orderPid.up ? `pid ${orderPid.pid}` : "starting");
    say(this.nodes.billing.lastChild, billing.up ? `pid ${billing.pid}` : "dead");
    this.nodes.order.classList.toggle("down", !orderPid.up);
    this.nodes.billing.classList.toggle("down", !billing.up);
    say(this.nodes.toxi.lastChild, toxic);
    this.nodes.toxi.classList.toggle("struck", Boolean(toxic));
  }

  // Which dots are held now, as Set of `attempt/seam`.
  hold(held) {
    this.held = held;
    for (const [attempt, dot] of this.dots) {
      const at = dot.at === "order" ? "send" : dot.reply ? "reply" : "arrival";
      dot.element.classList.toggle("held", held.has(`${attempt}/${at}`));
    }
  }

  push(event) {
    this.queue.push(event);
    if (this.queue.length > QUEUE_MAX) this.queue.splice(0, this.queue.length - QUEUE_MAX);
    if (!this.running) this.run();
  }

  async run() {
    this.running = true;
    while (this.queue.length) await this.play(this.queue.shift());
    this.running = false;
    if (this.held) this.hold(this.held);
  }

  async play(event) {
    const dot = this.dots.get(event.attempt);
    switch (event.kind) {
      case "ordered": return this.pass("", "customer", "order");
      case "sends": return this.put(event);
      case "struck":
        if (dot) dot.struck = event.action;
        if (dot && (event.action === "delay" || event.action === "forget")) {
          dot.element.classList.add("late");
          return this.move(dot, "toxi");
        }
        return undefined;
      case "arrives":
        if (!dot) return undefined;
        if (dot.at === "order") await this.move(dot, "toxi");
        return this.move(dot, "billing");
      case "copy arrives": return this.pass("copy", "toxi", "billing");
      case "replies":
        if (!dot) return undefined;
        await this.move(dot, "pg");
        await this.move(dot, "billing");
        dot.reply = true;
        dot.element.classList.add("reply");
        say(dot.label, `${event.status}${event.replayed ? " replayed" : ""}`);
        if (event.late) this.drop(event.attempt);
        return undefined;
      case "answered":
        if (!dot) return undefined;
        await this.move(dot, "toxi");
        await this.move(dot, "order");
        return this.drop(event.attempt);
      case "gave up": return this.lose(event.attempt, dot);
      case "notifies":
        await this.pass("side", "order", "leg", "side", "told");
        return undefined;
      case "customer answered": return this.pass("reply", "order", "customer");
      default: return undefined;
    }
  }

  put(event) {
    this.drop(event.attempt);
    const label = make("span", { text: `key ${event.key}${event.retry ? " ?1" : ""}` });
    const element = make("div", { className: "dot" }, label);
    element.addEventListener("click", () => element.classList.contains("held") && this.onHeldClick(event.attempt));
    this.element.append(element);
    this.dots.set(event.attempt, { element, label, at: "order" });
    this.place(element, "order");
    if (this.held) this.hold(this.held);
    return this.wait(0.5);
  }

  async lose(attempt, dot) {
    if (!dot) return;
    if (dot.struck === "delay" || dot.struck === "forget") return;
    if (dot.struck !== "kill") await this.move(dot, "toxi");
    dot.element.className = "dot lost";
    const at = this.spot(dot.at);
    await this.animate(dot.element, [at, { ...at, top: "118px" }], 1.2);
    this.drop(attempt);
  }

  async pass(kind, ...stations) {
    const element = make("div", { className: `dot ${kind}` });
    const dot = { element, at: stations[0] };
    this.element.append(element);
    this.place(element, stations[0]);
    for (const station of stations.slice(1)) await this.move(dot, station);
    element.remove();
  }

  async move(dot, to) {
    const from = this.spot(dot.at);
    dot.at = to;
    dot.element.classList.remove("held");
    await this.animate(dot.element, [from, this.spot(to)], 1);
  }

  async animate(element, [from, to], hops) {
    Object.assign(element.style, to);
    const duration = this.duration(hops);
    if (!duration) return;
    const running = element.animate([from, to], { duration, easing: "ease-in-out" });
    // A page in the background finishes no animation; then the timer does.
    await Promise.race([running.finished.catch(() => {}), new Promise((done) => setTimeout(done, duration + 80))]);
  }

  wait(hops) {
    return new Promise((done) => setTimeout(done, this.duration(hops)));
  }

  duration(hops) {
    if (reduced.matches || document.hidden) return 0;
    const hurry = this.queue.length > LAG ? 1 + (this.queue.length - LAG) / 4 : 1;
    return (HOP_MS * hops) / pace.speed / hurry;
  }

  spot(name) {
    const [left, top] = PLACE[name];
    return { left: `${left}%`, top: `${top}px` };
  }

  place(element, name) {
    Object.assign(element.style, this.spot(name));
  }

  drop(attempt) {
    this.dots.get(attempt)?.element.remove();
    this.dots.delete(attempt);
  }
}
