// One camera in detail: the large picture and its views, plots, numbers, errors, snapshot and stream address.
import * as api from './api.js';
import { Controls } from './controls.js';
import { fillErrors, fillList, make, parts, setData, setText } from './dom.js';
import { Picture } from './picture.js';
import { Plot } from './plot.js';
import { pillText } from './shown.js';
import { large } from './wall.js';
import { count, duration, fixed, milliseconds, percent } from './words.js';

const REFRESH_MS = 2000;
const COPIED_MS = 3000;
const MESSAGE_MS = 20_000;

export class Detail {
  id = null;
  #root;
  #el;
  #link;
  #controls;
  #plots;
  #picture;
  #stream = null;
  #reading_since_ms = 0;
  #view = 'picture';
  #timer;
  #message_timer;
  #camera = null;
  #state = null;

  /** link: {onUp(), onDown(error), onStop()} of the large picture's stream; close(): back to the grid. */
  constructor(root, link, close) {
    this.#root = root;
    this.#el = parts(root);
    this.#link = link;
    this.#picture = new Picture(this.#el.canvas);
    this.#controls = new Controls(this.#el, (text) => this.#say(text));
    this.#plots = [
      new Plot(this.#el['latency-plot'], 'Latency', 'ms', [{ name: 'half of the frames', key: 'latency_p50_ms' }, { name: '95 %', key: 'latency_p95_ms' }]),
      new Plot(this.#el['fps-plot'], 'Frames', 'per second', [{ name: 'out', key: 'fps_out' }, { name: 'in', key: 'fps_in' }]),
    ];
    this.#el.close.addEventListener('click', close);
    this.#el.views.addEventListener('change', ({ target }) => this.#show(target.value));
    this.#el.snapshot.addEventListener('click', () => this.#save());
    this.#el.copy.addEventListener('click', () => this.#copy());
  }

  /** The picture's age, for shown(). */
  get picture() {
    return { arrived_ms: this.#picture.arrived_ms, since_ms: this.#reading_since_ms };
  }

  /** tile_canvas: what to show until the first large picture comes; null where there is none. */
  open(id, tile_canvas) {
    this.close();
    this.id = id;
    this.#camera = null;
    this.#state = null;
    this.#root.hidden = false;
    this.#el.name.textContent = id;
    this.#el.canvas.setAttribute('aria-label', `Large picture of ${id}`);
    this.#controls.open(id);
    this.#say('');
    this.#fill(null);
    this.#root.querySelector('[value="picture"][name="view"]').checked = true;
    this.#picture.forget();
    this.#picture.borrow(tile_canvas);
    this.#show('picture');
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
    this.#refresh();
    this.#el.name.focus({ preventScroll: true });
  }

  close() {
    if (this.id === null) return;
    this.pause();
    clearInterval(this.#timer);
    this.id = null;
    this.#root.hidden = true;
  }

  /** Whether the large picture is being read. */
  get reading() {
    return this.#stream !== null;
  }

  pause() {
    this.#stream?.stop();
    this.#stream = null;
    this.#link.onStop();
  }

  /** Reads the large picture anew. */
  resume() {
    if (this.id !== null) this.#show(this.#view);
  }

  /** Takes what the server says once a second. */
  update(camera, server) {
    this.#camera = camera;
    this.#el.raw.hidden = !server.show_raw;
    this.#el.controls.hidden = !server.settable;
    this.#el['not-settable'].hidden = server.settable;
    if (server.settable) this.#controls.update(camera);
    const url = new URL(camera.streams.mjpeg, location.href).href;
    if (this.#el.url.value !== url) this.#el.url.value = url;
    const latency = camera.latency_ms;
    fillList(this.#el.numbers, [
      ['Source', camera.source],
      ['Size', `${camera.width} × ${camera.height}`],
      ['Frames per second, in / out', `${fixed(camera.fps_in, 1)} / ${fixed(camera.fps_out, 1)}`],
      ['Latency p50 / p95 / p99', latency ? [latency.p50, latency.p95, latency.p99].map(milliseconds).join(' / ') : '–'],
      ['Frames in / out', `${count(camera.frames.in)} / ${count(camera.frames.out)}`],
      ['Dropped / failed', `${count(camera.frames.dropped)} / ${count(camera.frames.failed)}`],
    ]);
    const q = camera.quality;
    fillList(this.#el.quality, q ? [
      ['Person covers', percent(q.coverage)],
      ['Flicker', q.flicker == null ? '–' : `${fixed(100 * q.flicker, 2)} %`],
      ['Edge width', q.edge_width_px == null ? '–' : `${fixed(q.edge_width_px, 1)} px`],
      ['Person in the picture', q.no_person_s == null ? 'yes' : `not for ${duration(q.no_person_s)}`],
    ] : [['Not measured yet', '']]);
    if (this.#state !== camera.state) this.#refresh();
    this.#state = camera.state;
  }

  /** Takes what shown() gives. */
  mark({ state, why, since_s, old, text }) {
    setData(this.#root, 'state', state);
    setData(this.#root, 'old', String(old));
    setText(this.#el.pill, pillText(state));
    setText(this.#el.since, [since_s == null ? '' : `for ${duration(since_s)}`, why ?? ''].filter(Boolean).join(': '));
    setText(this.#el.overlay, text);
  }

  #show(view) {
    this.#view = view;
    this.#stream?.stop();
    this.#link.onStop();
    this.#picture.forget();
    this.#reading_since_ms = performance.now();
    this.#stream = large(this.id, view, {
      onPart: (part) => this.#picture.offer(part),
      onUp: () => { this.#reading_since_ms = performance.now(); this.#link.onUp(); },
      onDown: (error) => { if (error.status !== 404) this.#link.onDown(error); }, // 404: no such camera, or no picture yet
    });
    this.#stream.start();
  }

  async #refresh() {
    const { id } = this;
    if (id === null || !this.reading) return;
    try {
      const camera = await api.camera(id);
      if (this.id === id) this.#fill(camera);
    } catch {
      // The banner and the picture's stream say what is wrong.
    }
  }

  #fill(camera) {
    for (const plot of this.#plots) plot.draw(camera?.history);
    const errors = camera?.errors ?? [];
    fillErrors(this.#el.errors, errors);
    if (errors.length === 0) this.#el.errors.append(make('li', 'None.', 'hint'));
  }

  /** Shows a failure for a while; '' clears it. */
  #say(text) {
    clearTimeout(this.#message_timer);
    setText(this.#el.message, text);
    if (text) this.#message_timer = setTimeout(() => this.#say(''), MESSAGE_MS);
  }

  async #save() {
    const { id } = this;
    try {
      const blob = await api.snapshot(this.#camera?.streams.frame ?? `/api/cameras/${encodeURIComponent(id)}/frame.png`);
      const link = make('a');
      link.href = URL.createObjectURL(blob);
      link.download = `${id}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.#say('');
    } catch (error) {
      this.#say(`No snapshot: ${error.message}`);
    }
  }

  async #copy() {
    const { url, copied } = this.#el;
    let done = true;
    try {
      await navigator.clipboard.writeText(url.value);
    } catch {
      // Not allowed, or no secure context: the older way, which needs a selection.
      url.select();
      done = document.execCommand('copy');
      this.#el.copy.focus();
    }
    copied.textContent = done ? 'Copied.' : 'Not copied: select the address and press Ctrl+C.';
    setTimeout(() => { copied.textContent = ''; }, COPIED_MS);
  }
}
