// In: a page, the least contrasts. Out: what it says, and where it is hard to read or to hear.
// Leaves findTooWide() behind, which says what sticks out of the screen at the width it has then.
(least) => {
  const seen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const inside = (one, selector) => one.closest(selector) !== null;
  // data as platforms send it, icons (their text is the name of a glyph), names of languages
  const NOT_OURS = "script, style, template, noscript, pre, code, .cb-mono, .cb-raw, [data-raw], #time-line details, .material-symbols-outlined, .material-symbols-rounded, option[lang]";

  const texts = new Set([document.title]);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.replace(/\s+/g, " ").trim();
    if (text && !inside(node.parentElement, NOT_OURS)) texts.add(text);
  }
  for (const name of ["title", "placeholder", "aria-label", "alt"]) {
    for (const one of document.querySelectorAll(`[${name}]`)) {
      const text = one.getAttribute(name).replace(/\s+/g, " ").trim();
      if (text && !inside(one, NOT_OURS)) texts.add(text);
    }
  }

  // contrast: colours of every kind are drawn, and read back as bytes
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const known = new Map();
  function readColor(text) {
    if (!known.has(text)) {
      brush.clearRect(0, 0, 1, 1);
      brush.fillStyle = text;
      brush.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  }
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  function findBehind(one) {
    const layers = [];
    for (let at = one; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      const color = readColor(style.backgroundColor);
      if (color[3]) layers.push(color);
      if (color[3] === 1) break;
    }
    const dark = document.documentElement.classList.contains("dark");
    return layers.reverse().reduce((below, top) => over(top, below), dark ? [17, 24, 39] : [255, 255, 255]);
  }
  const light = (color) => {
    const [r, g, b] = color.map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pale = new Set();
  const looked = new Set();
  const again = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = again.nextNode(); node; node = again.nextNode()) {
    const one = node.parentElement;
    if (!node.data.trim() || looked.has(one) || inside(one, "script, style, template, noscript, option, .material-symbols-outlined")) continue;
    looked.add(one);
    if (!seen(one) || inside(one, ":disabled, [aria-disabled=true], [aria-hidden=true]")) continue;
    const behind = findBehind(one);
    if (!behind) continue;
    let opacity = 1;
    for (let at = one; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const style = getComputedStyle(one);
    const color = readColor(style.color);
    const front = over([...color.slice(0, 3), color[3] * opacity], behind);
    const [a, b] = [light(front), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? least.large : least.text) - 0.01) {
      pale.add(`${ratio.toFixed(2)} “${node.data.trim().slice(0, 40)}” ${one.tagName}.${one.className}`.slice(0, 160));
    }
  }

  // what is cut at the edge of the screen: not what scrolls by itself, nor what is meant to be away
  window.findTooWide = () => {
    const wide = window.innerWidth + 1;
    const found = [];
    if (document.documentElement.scrollWidth > wide) found.push(`scrolls to ${document.documentElement.scrollWidth}`);
    for (const one of document.body.querySelectorAll("main *, #content *, #main *, h1, form *, table")) {
      if (one.getBoundingClientRect().right <= wide || !seen(one)) continue;
      let scrolls = false;
      for (let at = one.parentElement; at && at !== document.body; at = at.parentElement) {
        const style = getComputedStyle(at);
        const held = ["auto", "scroll"].includes(style.overflowX);
        const cut = ["hidden", "clip"].includes(style.overflowX) && at.getBoundingClientRect().right <= wide && !["MAIN", "BODY"].includes(at.tagName) && !["main", "content", "page"].includes(at.id);
        if (held || cut || style.position === "fixed") { scrolls = true; break; }
      }
      if (!scrolls) found.push(`${one.tagName}#${one.id}.${one.className}`.slice(0, 100));
      if (found.length > 3) break;
    }
    return found;
  };

  const nameless = [];
  for (const one of document.querySelectorAll("img:not([alt])")) nameless.push(one.outerHTML.slice(0, 80));
  return {
    texts: [...texts],
    headings: [...document.querySelectorAll("h1")].filter(seen).length,
    nameless,
    pale: [...pale].slice(0, 12),
  };
}
