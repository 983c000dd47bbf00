// Filters the scenarios by their name. Nothing on the page needs it.
(() => {
  const input = document.getElementById("filter");
  const found = document.getElementById("found");
  const scenarios = [...document.querySelectorAll("details.scenario")];
  input.closest("p").hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const scenario of scenarios) {
      const text = scenario.dataset.text.toLowerCase();
      scenario.hidden = !words.every((word) => text.includes(word));
      shown += scenario.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll("section.group")) {
      group.hidden = !group.querySelector("details.scenario:not([hidden])");
    }
    found.textContent = words.length ? `${shown} of ${scenarios.length} entries` : "";
  });
})();
