// One camera in detail: large picture, views, plots, numbers, errors, snapshot.
import * as api from './api.js';
import { Controls } from './controls.js';
import { fillErrors, fillList, make, parts, setData, setText } from './dom.js';
import { Lines } from './lines.js';
import { Picture } from './picture.js';
import { Plot } from './plot.js';
import { pillText } from './shown.js';
import { age, count, duration, fixed, milliseconds, percent, total } from './words.js';

const REFRESH_MS = 2000;
const MESSAGE_MS = 20_000;
const LATENCY = {
  run: 'Latency: from reading a frame to its finished picture.',
  worker: 'Latency: from the capture of a frame to its finished result.',
  view: 'Latency: from the capture of a frame until its result came here.',
};
const AGE = ' Age: from capture (what mattebox run reads: from reading) to this screen.';

export class Detail {
  id = null;
  view = 'picture';
  #root;
  #el;
  #controls;
  #lines;
  #plots;
  #picture;
  #timer;
  #message_timer;
  #camera = null;
  #state = null;
  #asking = false;
  #mark = null;

  /** close(): to the grid. step(n): to another camera. onView(): another view. others(): names. */
  constructor(root, { close, step, onView, others }) {
    this.#root = root;
    this.#el = parts(root);
    this.#picture = new Picture(this.#el.canvas);
    this.#controls = new Controls(this.#el, { say: (text) => this.#say(text), others });
    this.#lines = new Lines(this.#el.lines);
    this.#plots = [
      new Plot(this.#el['latency-plot'], 'Latency', 'ms', {
        median: 'latency_p50_ms', '95th percentile': 'latency_p95_ms' }),
      new Plot(this.#el['fps-plot'], 'Frames', 'per second', {
        written: 'fps_written', read: 'fps_read',
      }),
      new Plot(this.#el['drops-plot'], 'Dropped frames', 'per second', { dropped: 'dropped' }),
      new Plot(this.#el['quality-plot'], 'Matte', '%', {
        'person covers': 'coverage', flicker: 'flicker' }, 100),
    ];
    this.#el.close.addEventListener('click', close);
    this.#el.before.addEventListener('click', () => step(-1));
    this.#el.after.addEventListener('click', () => step(1));
    this.#el.full.addEventListener('click', () => this.toggleFullScreen());
    this.#el.views.addEventListener('change', ({ target }) => {
      this.view = target.value;
      this.#picture.forget();
      onView();
    });
    this.#el.snapshot.addEventListener('click', () => this.#save());
  }

  /** The picture's age, for shown(). */
  get times() {
    return this.#picture.times;
  }

  /** Takes a large picture of this camera. */
  offer(part) {
    if (part.view === this.view) this.#picture.offer(part);
  }

  /** tile_canvas: shown until the first large picture comes; may be null. */
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
    this.showPicture();
    this.#picture.borrow(tile_canvas);
    this.missing(false);
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
    this.#el.name.focus({ preventScroll: true });
  }

  close() {
    if (this.id === null) return;
    clearInterval(this.#timer);
    this.id = null;
    this.#root.hidden = true;
  }

  /** Back to the view that every camera has. */
  showPicture() {
    this.view = 'picture';
    this.#root.querySelector('[value="picture"][name="view"]').checked = true;
    this.#picture.forget();
  }

  /** There is no such camera. */
  missing(is_missing) {
    this.#el.missing.hidden = !is_missing;
    this.#el.columns.hidden = is_missing;
  }

  toggleFullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#el.large.requestFullscreen?.().catch(() => {});
  }

  /** Takes what the server says once a second. */
  update(camera, server) {
    const is_first = this.#camera === null;
    this.#camera = camera;
    for (const view of this.#el.views.querySelectorAll('input')) {
      view.parentElement.hidden = !camera.views.includes(view.value);
    }
    this.#el.views.hidden = camera.views.length < 2;
    if (!camera.views.includes(this.view)) this.showPicture();
    this.#el.controls.hidden = !server.settable;
    this.#el['not-settable'].hidden = server.settable;
    if (server.settable) this.#controls.update(camera, server);
    this.#lines.update(camera, server);
    setText(this.#el['latency-note'], (LATENCY[server.command] ?? '') + AGE);
    const { frames: f, latency_ms: latency } = camera;
    fillList(this.#el.numbers, [
      ['Source', camera.source],
      ['Size', `${camera.width} × ${camera.height}`],
      ['Read / written a second', `${fixed(camera.fps_read, 1)} / ${fixed(camera.fps_written, 1)}`],
      ['Latency p50 / p95 / p99',
        latency ? ['p50', 'p95', 'p99'].map((p) => milliseconds(latency[p])).join(' / ') : '–'],
      ['Age on this screen', this.#mark ? age(this.#mark) : '–'],
      ['Read / written / skipped',
        [f.read, f.written, f.skipped].map(count).join(' / ')],
      ['Dropped / dead / failed', `${total(f.dropped)} / ${count(f.dead)} / ${count(f.failed)}`],
    ]);
    const q = camera.quality;
    this.#el['quality-card'].hidden = !q && camera.views.length < 2;
    this.#el['quality-plot'].hidden = this.#el['quality-card'].hidden;
    fillList(this.#el.quality, q ? [
      ['Person covers', percent(q.coverage)],
      ['Flicker', q.flicker == null ? '–' : `${fixed(100 * q.flicker, 2)} %`],
      ['Edge width', q.edge_width_px == null ? '–' : `${fixed(q.edge_width_px, 1)} px`],
      ['Person in the picture',
        q.no_person_s == null ? 'yes' : `Nobody for ${duration(q.no_person_s)}`],
    ] : [['Not measured yet', '']]);
    if (is_first || this.#state !== camera.state) this.#refresh();
    this.#state = camera.state;
  }

  /** Takes what shown() gives. */
  mark(mark) {
    this.#mark = mark;
    const { state, why, since_s, old, text } = mark;
    setData(this.#root, 'state', state);
    setData(this.#root, 'old', String(old));
    setData(this.#root, 'very', String(mark.very ?? false));
    setText(this.#el.pill, pillText(mark));
    const since = since_s == null ? '' : `for ${duration(since_s)}`;
    setText(this.#el.since, [since, why].filter(Boolean).join(': '));
    setText(this.#el.overlay, text);
  }

  async #refresh() {
    const { id } = this;
    if (this.#camera === null || this.#asking || document.hidden) return;
    if (!this.#el.missing.hidden) return;
    this.#asking = true;
    let problem = '';
    try {
      const camera = await api.camera(id);
      if (this.id === id) this.#fill(camera);
    } catch (error) {
      if (error.status !== 404) problem = `The plots are not up to date: ${error.message}.`;
    }
    this.#asking = false;
    if (this.id === id) setText(this.#el['plots-note'], problem);
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
      const blob = await api.snapshot(id);
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
}
