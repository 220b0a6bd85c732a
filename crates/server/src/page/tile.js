// One camera in the grid: its picture, state and numbers.
import { parts, setData, setText } from './dom.js';
import { Picture } from './picture.js';
import { pillText } from './shown.js';
import { count, duration, fixed, milliseconds } from './words.js';

const template = document.getElementById('tile');

export class Tile {
  camera;
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
    setText(this.#el['fps-in'], fixed(camera.fps_in, 1));
    setText(this.#el['fps-out'], fixed(camera.fps_out, 1));
    setText(this.#el.latency, milliseconds(camera.latency_ms?.p50));
    setText(this.#el.drops, count(camera.frames.dropped));
  }

  /** Takes what shown() gives. */
  mark({ state, since_s, old, text }) {
    setData(this.root, 'state', state);
    setData(this.root, 'old', String(old));
    setText(this.#el.pill, pillText(state));
    setText(this.#el.since, since_s == null ? '' : `for ${duration(since_s)}`);
    setText(this.#el.overlay, text);
  }
}
