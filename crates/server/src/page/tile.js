// One camera in the grid: its picture, state and numbers.
import { parts, setData, setText } from './dom.js';
import { Picture } from './picture.js';
import { pillText } from './shown.js';
import { age, count, duration, fixed, milliseconds, percent, total } from './words.js';

const template = document.getElementById('tile');
/** A shorter time without a person is not shown. */
const EMPTY_S = 2;

export class Tile {
  camera;
  shown = null;
  #el;

  constructor(camera) {
    this.root = template.content.firstElementChild.cloneNode(true);
    this.root.dataset.camera = camera.id;
    this.#el = parts(this.root);
    this.link = this.#el.name;
    this.link.textContent = camera.id;
    this.link.href = `#camera=${encodeURIComponent(camera.id)}`;
    this.canvas = this.root.querySelector('canvas');
    this.canvas.setAttribute('aria-label', `Picture of ${camera.id}`);
    this.picture = new Picture(this.canvas);
    this.picture.visible = false;
    this.update(camera);
  }

  /** Takes what the server says once a second. */
  update(camera) {
    this.camera = camera;
    setText(this.#el['fps-read'], fixed(camera.fps_read, 1));
    setText(this.#el['fps-written'], fixed(camera.fps_written, 1));
    setText(this.#el.latency, milliseconds(camera.latency_ms?.p50));
    setText(this.#el.drops, total(camera.frames.dropped));
    setText(this.#el.person, percent(camera.quality?.coverage));
  }

  /** Takes what shown() gives. */
  mark(mark) {
    this.shown = mark;
    const { state, since_s, old, text } = mark;
    setData(this.root, 'state', state);
    setData(this.root, 'old', String(old));
    setData(this.root, 'very', String(mark.very ?? false));
    setText(this.#el.pill, pillText(mark));
    setText(this.#el.since, since_s == null ? '' : `for ${duration(since_s)}`);
    setText(this.#el.age, age(mark));
    const empty_s = this.camera.quality?.no_person_s;
    const empty = !text && !old && empty_s >= EMPTY_S ? `Nobody for ${duration(empty_s)}` : '';
    setData(this.root, 'empty', String(empty !== ''));
    // What FFmpeg says is too long for here: the camera's own page has it.
    setText(this.#el.overlay, text.replace(/ \(FFmpeg: .*$/s, '') || empty);
  }
}
