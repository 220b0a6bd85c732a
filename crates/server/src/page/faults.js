// What went wrong beyond single cameras, such as lost records, until a person hides it.
import { fillErrors, parts } from './dom.js';

export class Faults {
  #el;
  #parts;
  #newest = ''; // when the newest came
  #hidden = ''; // all up to here are hidden

  constructor(el) {
    this.#el = el;
    this.#parts = parts(el);
    this.#parts.hide.addEventListener('click', () => {
      this.#hidden = this.#newest;
      this.#el.hidden = true;
    });
  }

  update(errors) {
    const newest = errors[0]?.time ?? '';
    if (newest === this.#newest) return;
    this.#newest = newest;
    const hidden_ms = Date.parse(this.#hidden) || 0;
    fillErrors(this.#parts.list, errors.filter(({ time }) => Date.parse(time) > hidden_ms));
    this.#el.hidden = newest === '' || newest === this.#hidden;
  }
}
