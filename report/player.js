// A player for sequence diagrams: shows one row of time after the other. Without it the whole diagram is shown.
// Used by the report, by the files that the lab saves, and by the lab itself.
(() => {
  const SPEEDS = [0.25, 0.5, 1, 2, 4];
  // Milliseconds that a row is shown, whatever passed between two rows in truth: an eye needs the one and tires of the other.
  const PAUSE_MIN = 260;
  const PAUSE_MAX = 1100;

  function button(text, label) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    return made;
  }

  function player(figure) {
    const svg = figure.querySelector("svg.diagram");
    if (!svg || figure.querySelector(".player")) return;
    const parts = [...svg.querySelectorAll("[data-row]")].map((part) => [part, Number(part.dataset.row)]);
    if (!parts.length) return;
    const last = Math.max(...parts.map(([, row]) => row));
    const times = [...svg.querySelectorAll("text.clock[data-row]")].map((clock) => parseFloat(clock.textContent));
    const box = svg.parentElement;
    let row = last;
    let timer = 0;

    const bar = document.createElement("div");
    bar.className = "player";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Play the diagram");
    const back = button("‹ back", "One row back");
    const play = button("play", "Play");
    const step = button("step ›", "One row on");
    const speed = document.createElement("select");
    speed.setAttribute("aria-label", "Speed");
    for (const factor of SPEEDS) {
      const option = document.createElement("option");
      option.value = String(factor);
      option.textContent = `× ${factor}`;
      option.selected = factor === 1;
      speed.append(option);
    }
    const where = document.createElement("output");
    bar.append(back, play, step, speed, where);

    function show(next) {
      row = Math.max(0, Math.min(last, next));
      for (const [part, of] of parts) {
        part.classList.toggle("later", of > row);
        part.classList.toggle("now", of === row && row < last);
      }
      where.textContent = `${row + 1} of ${last + 1}`;
      back.disabled = row === 0;
      step.disabled = row === last;
      const mark = svg.querySelector(`text.clock[data-row="${row}"]`);
      if (mark && row < last) {
        const at = mark.getBoundingClientRect();
        const seen = box.getBoundingClientRect();
        if (at.bottom > seen.bottom || at.top < seen.top) box.scrollTop += at.top - seen.top - seen.height / 2;
      }
    }

    function stop() {
      clearTimeout(timer);
      timer = 0;
      play.textContent = "play";
      play.setAttribute("aria-label", "Play");
    }

    function next() {
      if (row >= last) return stop();
      show(row + 1);
      const passed = (times[row + 1] ?? times[row]) - times[row];
      const pause = Math.min(PAUSE_MAX, Math.max(PAUSE_MIN, passed || 0));
      timer = setTimeout(next, pause / Number(speed.value));
    }

    play.addEventListener("click", () => {
      if (timer) return stop();
      if (row >= last) show(0);
      play.textContent = "pause";
      play.setAttribute("aria-label", "Pause");
      timer = setTimeout(next, PAUSE_MIN / Number(speed.value));
    });
    step.addEventListener("click", () => { stop(); show(row + 1); });
    back.addEventListener("click", () => { stop(); show(row - 1); });
    box.before(bar);
    show(last);
    return { play: () => { if (!timer) play.click(); }, show, stop, last };
  }

  globalThis.diagramPlayer = player;
  for (const figure of document.querySelectorAll("figure.playable")) player(figure);
})();
