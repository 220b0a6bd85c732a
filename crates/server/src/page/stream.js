// An answer that never ends, kept open: reads it, and opens it again when it breaks.
import { problemOf } from './api.js';

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 5000;

export class Stream {
  #stop = null;
  #options;

  /**
   * path(): the address. reader(): for each new connection gives the function that takes its bytes.
   * onUp(): bytes arrive. onDown(error): it broke, which silence_ms without a byte is too.
   */
  constructor(options) {
    this.#options = options;
  }

  get running() {
    return this.#stop !== null;
  }

  start() {
    if (this.#stop) return;
    this.#stop = new AbortController();
    this.#keepReading(this.#stop.signal);
  }

  stop() {
    this.#stop?.abort();
    this.#stop = null;
  }

  restart() {
    if (!this.#stop) return;
    this.stop();
    this.start();
  }

  async #keepReading(stop) {
    let delay_ms = FIRST_DELAY_MS;
    while (!stop.aborted) {
      try {
        await this.#read(stop, () => { delay_ms = FIRST_DELAY_MS; });
      } catch (error) {
        if (stop.aborted) return;
        this.#options.onDown?.(error);
      }
      await pause(delay_ms, stop);
      delay_ms = Math.min(2 * delay_ms, LAST_DELAY_MS);
    }
  }

  async #read(stop, delivered) {
    const { path, reader, onUp, silence_ms } = this.#options;
    const address = path();
    const connection = new AbortController();
    const close = () => connection.abort();
    stop.addEventListener('abort', close);
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(close, silence_ms);
    };
    try {
      listen();
      const answer = await fetch(address, { cache: 'no-store', signal: connection.signal });
      if (!answer.ok) throw await problemOf(answer);
      const take = reader(answer);
      const body = answer.body.getReader();
      onUp?.();
      for (;;) {
        const { done, value } = await body.read();
        if (done) throw new Error('the stream ended');
        if (stop.aborted) return;
        listen();
        delivered();
        take(value);
      }
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', close);
      close();
    }
  }
}

function pause(delay_ms, stop) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delay_ms);
    stop.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
