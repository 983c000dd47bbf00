// What a person would notice, each a function from the page as it is drawn to the places that are wrong.
const checks = {
  // The page is no wider than the screen; what is wider scrolls within its own box.
  overflow(width_px) {
    const wide = [...document.querySelectorAll("body, body *")].filter(
      (node) => !inside_a_box(node) && node.getBoundingClientRect().right > width_px + 0.5,
    );
    const page = document.documentElement.scrollWidth > width_px ? [`the page is ${document.documentElement.scrollWidth} px wide`] : [];
    return page.concat(wide.map(named));
  },

  // Text stands out from what is behind it: 4.5, or 3 where it is large (WCAG 2.2, 1.4.3).
  contrast() {
    const poor = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || !drawn(node) || ["SCRIPT", "STYLE", "title", "desc"].includes(node.tagName)) continue;
      const style = getComputedStyle(node);
      const size_px = parseFloat(style.fontSize);
      const large = size_px >= 24 || (size_px >= 18.66 && Number(style.fontWeight) >= 700);
      const ratio = contrast_of(node);
      if (ratio < (large ? 3 : 4.5)) poor.add(`${named(node)} ${ratio.toFixed(2)} "${text.data.trim().slice(0, 30)}"`);
    }
    return [...poor];
  },

  // Every diagram is there to be seen, with all its labels within it.
  diagrams() {
    const wrong = [];
    for (const picture of document.querySelectorAll("svg.diagram")) {
      const box = picture.getBoundingClientRect();
      if (!drawn(picture) || box.width < 200 || box.height < 50) {
        wrong.push(`${named(picture)} is ${box.width} x ${box.height}`);
        continue;
      }
      for (const text of picture.querySelectorAll("text")) {
        const label = text.getBoundingClientRect();
        if (label.width === 0 || label.left < box.left || label.right > box.right || label.bottom > box.bottom) {
          wrong.push(`"${text.firstChild?.data}" is not within its picture`);
        }
      }
    }
    return wrong;
  },

  // No label of a diagram covers another one.
  overlaps() {
    const wrong = [];
    for (const picture of document.querySelectorAll("svg.diagram")) {
      const labels = [...picture.querySelectorAll("text")].map((text) => [text.firstChild?.data, text.getBoundingClientRect()]);
      labels.forEach(([one, a], index) => {
        for (const [other, b] of labels.slice(index + 1)) {
          const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          // A line's box is taller than its letters.
          if (across > 1 && down > 4) wrong.push(`"${one}" and "${other}"`);
        }
      });
    }
    return wrong;
  },

  // The measured figures are on the screen without scrolling sideways: they are what the page is read for.
  off_screen(width_px) {
    return [...document.querySelectorAll("a.figure")].filter((node) => {
      const box = node.getBoundingClientRect();
      return box.left < 0 || box.right > width_px + 0.5;
    }).map(named);
  },

  // A finger or a key reaches what can be pressed, and what scrolls.
  unreachable() {
    const small = [...document.querySelectorAll("a, summary, input, button")].filter((node) => {
      const box = node.getBoundingClientRect();
      return drawn(node) && (box.width < 24 || box.height < 20);
    });
    const boxes = [...document.querySelectorAll(".scroll, pre")].filter(
      (node) => node.scrollWidth > node.clientWidth && node.tabIndex < 0,
    );
    return small.concat(boxes).map(named);
  },
};

function inside_a_box(node) {
  for (let at = node.parentElement; at && at !== document.body; at = at.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return true;
  }
  return false;
}

function drawn(node) {
  return node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
}

function named(node) {
  const classes = node.getAttribute("class");
  return node.tagName.toLowerCase() + (classes ? `.${classes.trim().replaceAll(" ", ".")}` : "");
}

function contrast_of(node) {
  const style = getComputedStyle(node);
  const behind = background_of(node);
  const ink = over(colour(node instanceof SVGElement ? style.fill : style.color), behind);
  const [light, dark] = [luminance(ink), luminance(behind)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

// The colours of all ancestors, one over the other, on the canvas of the scheme.
function background_of(node) {
  const layers = [];
  for (let at = node; at; at = at.parentElement) {
    const layer = colour(getComputedStyle(at).backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
}

function colour(text) {
  const parts = text.match(/^rgba?\((.*)\)$/)?.[1].split(/[ ,/]+/).map(Number);
  if (!parts) throw new Error(`not a colour that can be computed with: ${text}`);
  return [parts[0], parts[1], parts[2], parts[3] ?? 1];
}

function over(above, below) {
  const mixed = [0, 1, 2].map((index) => above[index] * above[3] + below[index] * (1 - above[3]));
  return [...mixed, 1];
}

function luminance([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
