// Sends changes of settings one request at a time, then the newest values of later ones.
import * as api from './api.js';

export class Sender {
  #id;
  #waiting = null;
  #timer = null;
  #sending = false;
  #callbacks;

  /** onSettings(settings, file): of the server; file: if one was sent. onError(error): refused. */
  constructor(id, callbacks) {
    this.#id = id;
    this.#callbacks = callbacks;
  }

  /** Whether the controls are newer than the server's settings. */
  get busy() {
    return this.#sending || this.#waiting !== null;
  }

  send(change, delay_ms = 0) {
    this.#waiting = { ...this.#waiting, ...change };
    if (this.#sending) return;
    if (delay_ms === 0) {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#flush();
    } else {
      this.#timer ??= setTimeout(() => { this.#timer = null; this.#flush(); }, delay_ms);
    }
  }

  upload = (file) => this.#do(() => api.upload(this.#id, file), file);

  #flush() {
    const change = this.#waiting;
    if (!change || this.#sending) return;
    this.#waiting = null;
    this.#do(() => api.change(this.#id, change));
  }

  async #do(request, file) {
    this.#sending = true;
    let done;
    try {
      const settings = await request();
      done = () => this.#callbacks.onSettings(settings, file);
    } catch (error) {
      done = () => this.#callbacks.onError(error);
    }
    this.#sending = false;
    done();
    this.#flush();
  }
}
