// The line to the server: the state and the events as they come, and the commands that go there.
const token = document.querySelector('meta[name="lab-token"]').content;
// The server says something at least this often; after a longer silence it has gone.
const SILENCE_MS = 13000;

export class Stream {
  constructor({ state, event, anew, gone }) {
    this.on = { state, event, anew, gone };
    this.boot = "";
    this.heard = 0;
    this.source = null;
  }

  open() {
    this.source = new EventSource("/events");
    const hear = (kind, then) => this.source.addEventListener(kind, (message) => {
      this.heard = Date.now();
      then(JSON.parse(message.data));
    });
    hear("hello", ({ boot, anew }) => {
      if (this.boot && this.boot !== boot) return this.on.gone("The lab was started again. What you see here has ended.", true);
      this.boot = boot;
      this.on.gone("");
      if (anew) this.on.anew();
    });
    hear("state", this.on.state);
    hear("wire", this.on.event);
    hear("alive", () => {});
    this.source.addEventListener("error", () => {
      this.on.gone("The lab does not answer. This page goes on by itself as soon as it does.");
      // A browser gives up for good after some kinds of error.
      if (this.source.readyState === EventSource.CLOSED) this.again();
    });
    this.heard = Date.now();
    this.timer ??= setInterval(() => {
      if (Date.now() - this.heard > SILENCE_MS) {
        this.on.gone("The lab has been silent for a while. This page goes on by itself as soon as it answers.");
        this.again();
      }
    }, 2000);
  }

  again() {
    this.source.close();
    this.heard = Date.now();
    setTimeout(() => this.open(), 1000);
  }
}

// Does one thing on the stack. Returns what the server says, or throws an error with its one sentence.
export async function act(command, body = {}) {
  let response;
  try {
    response = await fetch(`/do/${command}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Lab-Token": token },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The lab does not answer.");
  }
  const text = await response.text();
  const said = text ? JSON.parse(text) : {};
  if (!response.ok) throw new Error(said.detail ?? "The lab refused that.");
  return said ?? {};
}
