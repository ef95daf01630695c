// Makes `now` like `next` with the fewest changes, so that focus, selection, scrolling, open menus and ticked boxes stay.
// Children with an id are the same thing as the ones with that id before. [data-keep] elements belong to a script, which
// hears of the update and looks after them itself: only their data-* attributes are renewed.
const OF_THE_READER = new Set(["open", "checked", "selected"]);

export function morph(now, next) {
  const focused = document.activeElement;
  lay(now, next);
  if (!focused || focused === document.body || document.activeElement === focused) return;
  // What had the focus was moved, or is no more: who uses the keyboard goes on from there, or from the page's beginning.
  (focused.isConnected ? focused : document.getElementById("main"))?.focus({ preventScroll: true });
}

function lay(now, next) {
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
  const entered = now === document.activeElement && now.matches("input, select, textarea");
  attributes(now, next, keep || entered);
  if (keep || entered) return;
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
  const stays = new Set([...next.children].map((child) => child.id));
  // What goes, goes first: so that what stays behind it need not be moved, which would take its focus.
  for (const child of [...now.children]) {
    if (child.id && !stays.has(child.id)) child.remove();
    else if (child.id) named.set(child.id, child);
  }
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    const known = wanted.id ? named.get(wanted.id) : undefined;
    if (known) {
      if (known === at) at = at.nextSibling;
      else now.insertBefore(known, at);
      lay(known, wanted);
    } else if (at && !at.id && !wanted.id && at.nodeName === wanted.nodeName) {
      const after = at.nextSibling;
      lay(at, wanted);
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
