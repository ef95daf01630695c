// What was entered and not sent yet: kept for this page, so that several may be filled in at once, and for the browser's
// next one, when this one was closed. A browser that keeps nothing does without.
const PLACES = [() => sessionStorage, () => localStorage];

function quietly(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

export class Draft {
  constructor(name) {
    this.name = name;
    this.text = null; // as this page has it
  }

  read() {
    for (const place of PLACES) {
      this.text = quietly(() => place().getItem(this.name));
      const kept = quietly(() => JSON.parse(this.text));
      if (kept) return kept;
    }
    return null;
  }

  keep(item) {
    this.text = JSON.stringify(item);
    for (const place of PLACES) quietly(() => place().setItem(this.name, this.text));
  }

  // What another page has kept for the next one since stays.
  forget() {
    quietly(() => sessionStorage.removeItem(this.name));
    quietly(() => localStorage.getItem(this.name) === this.text && localStorage.removeItem(this.name));
  }
}
