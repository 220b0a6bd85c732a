// Search, filter and order of the tiles. The order is kept for the next visit.
import { make, setText } from './dom.js';
import { STATES, pillText } from './shown.js';

const KEPT = 'mattebox-order';

export class Finder {
  /** What Grid.arrange() takes. */
  wanted = { text: '', state: null, problems_first: false, by_name: true };
  #el;
  #chips = new Map();
  #onChange;

  constructor(el, onChange) {
    this.#el = el;
    this.#onChange = onChange;
    Object.assign(this.wanted, read());
    el.order.value = this.wanted.by_name ? 'name' : 'given';
    el.problems.checked = this.wanted.problems_first;
    el.search.addEventListener('input', () => {
      this.wanted.text = el.search.value.trim().toLowerCase();
      onChange();
    });
    el.order.addEventListener('change', () => {
      this.wanted.by_name = el.order.value === 'name';
      this.#keep();
    });
    el.problems.addEventListener('change', () => {
      this.wanted.problems_first = el.problems.checked;
      this.#keep();
    });
    this.#chip(null);
    for (const state of STATES) this.#chip(state);
  }

  /** counts: how many cameras have a state. shown: how many tiles are left. */
  update(counts, total, shown) {
    for (const [state, { button, number }] of this.#chips) {
      const n = state === null ? total : counts.get(state) ?? 0;
      setText(number, String(n));
      const is_pressed = this.wanted.state === state;
      button.hidden = n === 0 && !is_pressed;
      const pressed = String(is_pressed);
      if (button.getAttribute('aria-pressed') !== pressed) {
        button.setAttribute('aria-pressed', pressed);
      }
    }
    this.#el.nothing.hidden = shown > 0 || total === 0;
  }

  focus() {
    this.#el.search.focus();
    this.#el.search.select();
  }

  #chip(state) {
    const button = make('button', null, 'chip');
    button.type = 'button';
    button.dataset.testid = `chip-${state ?? 'all'}`;
    if (state) button.dataset.state = state;
    const number = make('b');
    const label = state ? make('span', pillText({ state }), 'pill') : make('span', 'all');
    button.append(label, ' ', number);
    button.addEventListener('click', () => {
      this.wanted.state = this.wanted.state === state ? null : state;
      this.#onChange();
    });
    this.#chips.set(state, { button, number });
    this.#el.chips.append(button);
  }

  #keep() {
    const { by_name, problems_first } = this.wanted;
    try {
      localStorage.setItem(KEPT, JSON.stringify({ by_name, problems_first }));
    } catch {
      // A browser that keeps nothing: it holds for this visit.
    }
    this.#onChange();
  }
}

function read() {
  try {
    const { by_name = true, problems_first = false } = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    return { by_name: Boolean(by_name), problems_first: Boolean(problems_first) };
  } catch {
    return {};
  }
}
