// The process behind the page: what it uses, how many look, where to read more.
import { fillList, parts } from './dom.js';
import { duration, mebibytes } from './words.js';

export class ServerLine {
  #el;
  #sign_out;
  #last = null; // {now_s, cpu_s}

  constructor(el, sign_out) {
    this.#el = parts(el);
    this.#sign_out = sign_out;
  }

  update(server) {
    this.#sign_out.hidden = !server.token;
    const now_s = Date.parse(server.now) / 1000;
    const passed_s = this.#last ? now_s - this.#last.now_s : 0;
    const cores = passed_s > 0 ? (server.cpu_seconds - this.#last.cpu_s) / passed_s : null;
    this.#last = { now_s, cpu_s: server.cpu_seconds };
    fillList(this.#el.facts, [
      ['Version', `${server.version} (${server.command})`],
      ['Runs for', duration(now_s - Date.parse(server.started) / 1000)],
      ['CPU without FFmpeg', cores === null ? '–' : `${cores.toFixed(2)} cores`],
      ['Memory', mebibytes(server.memory_bytes)],
      ['SIMD', server.simd],
      ['Viewers', `${server.viewers} of ${server.max_viewers}`],
    ]);
    this.#el.guide.href = server.guide;
  }
}
