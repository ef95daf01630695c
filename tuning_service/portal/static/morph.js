// Makes `now` like `next` with the fewest changes, so that focus, selection, scrolling, open menus and ticked boxes stay.
// Children with an id are the same thing as the ones with that id before. [data-keep] elements belong to a script, which
// hears of the update and looks after them itself: only their data-* attributes are renewed.
const OF_THE_READER = new Set(["open", "checked", "selected"]);

export function morph(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
    now.replaceWith(next);
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
    return;
  }
  if (now.isEqualNode(next)) return;
  const keep = now.hasAttribute("data-keep");
  attributes(now, next, keep);
  if (keep || now === document.activeElement && now.matches("input, select, textarea")) return;
  children(now, next);
}

function attributes(now, next, onlyData) {
  for (const { name, value } of [...next.attributes]) {
    if (onlyData && !name.startsWith("data-")) continue;
    if (!OF_THE_READER.has(name) && now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  if (onlyData) return;
  for (const { name } of [...now.attributes]) {
    if (!OF_THE_READER.has(name) && !next.hasAttribute(name)) now.removeAttribute(name);
  }
}

function children(now, next) {
  const named = new Map();
  for (const child of now.children) if (child.id) named.set(child.id, child);
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    const known = wanted.id ? named.get(wanted.id) : undefined;
    if (known) {
      if (known === at) at = at.nextSibling;
      else now.insertBefore(known, at);
      morph(known, wanted);
    } else if (at && !at.id && !wanted.id && at.nodeName === wanted.nodeName) {
      const after = at.nextSibling;
      morph(at, wanted);
      at = after;
    } else {
      now.insertBefore(wanted, at);
    }
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}
