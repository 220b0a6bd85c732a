// Tells screen readers which cameras changed their state; numbers are never announced.

const MAX_NAMED = 3;

export class Announcer {
  #el;
  #states = new Map();

  constructor(el) {
    this.#el = el;
  }

  /** marks: [id, {state, why}] of all cameras, as they are shown. */
  take(marks) {
    const changes = [];
    for (const [id, mark] of marks) {
      const before = this.#states.get(id);
      this.#states.set(id, mark.state);
      if (before !== undefined && before !== mark.state) changes.push([id, mark]);
    }
    if (changes.length === 0) return;
    if (changes.length <= MAX_NAMED) {
      this.#el.textContent = changes
        .map(([id, { state, why }]) => `${id}: ${state}${why ? `, ${why}` : ''}.`).join(' ');
    } else {
      const counts = new Map();
      for (const [, { state }] of changes) counts.set(state, (counts.get(state) ?? 0) + 1);
      const told = [...counts].map(([state, n]) => `${n} ${state}`).join(', ');
      this.#el.textContent = `${changes.length} cameras changed: ${told}.`;
    }
  }
}
