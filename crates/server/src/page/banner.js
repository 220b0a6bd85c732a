// Says that the connection is lost, and that it is back.
import { Problem } from './api.js';

const BACK_MS = 4000;

export class Banner {
  #el;
  #down = new Map(); // name of a stream -> why it is down
  #timer;

  constructor(el) {
    this.#el = el;
  }

  get connected() {
    return this.#down.size === 0;
  }

  isDown(name) {
    return this.#down.has(name);
  }

  lost(name, error) {
    clearTimeout(this.#timer);
    this.#down.set(name, error);
    const problem = [...this.#down.values()].find((e) => e instanceof Problem);
    const why = problem?.message.replace(/\.$/, '');
    this.#say('lost', problem ? `mattebox answers: ${why}. Trying again …`
      : 'Connection to mattebox lost, trying again …');
  }

  back(name) {
    if (!this.#down.delete(name) || !this.connected) return;
    this.#say('back', 'Connection to mattebox is back.');
    this.#timer = setTimeout(() => this.#say('', ''), BACK_MS);
  }

  /** A stream that is not needed any more is not down. */
  forget(name) {
    if (this.#down.delete(name) && this.connected) this.#say('', '');
  }

  #say(kind, text) {
    this.#el.dataset.kind = kind;
    if (this.#el.textContent !== text) this.#el.textContent = text;
  }
}
