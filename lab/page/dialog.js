// The sequence diagram of one order, with the player of the report.
import { $, say } from "./dom.js";
import { titleOf } from "./words.js";

const SVG = "image/svg+xml";

export async function openDiagram(number, column, fail) {
  try {
    const response = await fetch(`/diagrams/${number}/${column}`);
    const text = await response.text();
    if (!response.ok) throw new Error(JSON.parse(text).detail);
    const picture = new DOMParser().parseFromString(text, SVG).documentElement;
    const figure = $("diagram").querySelector("figure");
    figure.querySelector(".player")?.remove();
    figure.querySelector(".scroll").replaceChildren(document.importNode(picture, true));
    say($("diagram-title"), `Order ${number}, ${titleOf(column)}`);
    $("diagram").showModal();
    globalThis.diagramPlayer?.(figure);
  } catch (error) {
    fail(error);
  }
}

$("diagram-close").addEventListener("click", () => $("diagram").close());
