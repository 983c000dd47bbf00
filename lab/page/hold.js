// A button that does something for as long as it is pressed, by pointer or by keyboard.
const REPEAT_MS = 1500;

export function hold(button, active, set, fail) {
  let timer = 0;
  const press = () => {
    if (timer || !active()) return;
    // The server forgets a button of which it hears nothing: a page that has gone holds nothing.
    timer = setInterval(() => set(true).catch(() => {}), REPEAT_MS);
    button.classList.add("pressed");
    set(true).catch((error) => { release(); fail(error); });
  };
  const release = () => {
    if (!timer) return;
    clearInterval(timer);
    timer = 0;
    button.classList.remove("pressed");
    set(false).catch(fail);
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button || !active()) return;
    button.setPointerCapture(event.pointerId);
    press();
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(kind, release);
  button.addEventListener("contextmenu", (event) => { if (active()) event.preventDefault(); });
  button.addEventListener("keydown", (event) => {
    if (!active() || (event.key !== " " && event.key !== "Enter")) return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  button.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") release(); });
  addEventListener("pagehide", release);
}
