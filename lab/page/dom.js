// Small things for building and changing elements. Recorded text is text and never markup.
export const $ = (id) => document.getElementById(id);

export function make(tag, { text, ...properties } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value);
  }
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// Changes only what is different: a text that is set again would be read aloud again.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Replaces the children when what they show has changed; `shows` is anything that JSON can write.
const shown = new WeakMap();
export function rebuild(element, shows, build) {
  const key = JSON.stringify(shows);
  if (shown.get(element) === key) return false;
  shown.set(element, key);
  // The focus stays where it was, as far as there is such an element afterwards.
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  element.replaceChildren(...build());
  if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  return true;
}

export const money = (cents) => (cents / 100).toFixed(2);
export const times = (effects) => `${Number(effects.toFixed(2))} ×`;
export const reduced = matchMedia("(prefers-reduced-motion: reduce)");
