// The controls of one camera's background and matte: sends every change at once, and shows what the server answers.
import { setText } from './dom.js';
import { Sender } from './sender.js';

const SLIDER_MS = 100;
const MAX_UPLOAD_BYTES = 16 * 1024 * 1024;
/** After a change by hand, an event that was on its way must not turn the controls back. */
const SETTLE_MS = 1200;
/** Settings of which one value is chosen. */
const CHOICES = ['matte', 'people'];

export class Controls {
  #form;
  #el;
  #say;
  #sender = null;
  #settings = null;
  #touched_ms = -Infinity;
  #has_picture = new Set(); // cameras that have an uploaded picture
  #id = null;

  /** say(text): shows a failure, or clears it with ''. */
  constructor(el, say) {
    this.#form = el.controls;
    this.#el = el;
    this.#say = say;
    this.#form.addEventListener('submit', (event) => event.preventDefault());
    this.#listen();
  }

  open(id) {
    this.#id = id;
    this.#settings = null;
    this.#touched_ms = -Infinity;
    const current = (then) => (value) => { if (this.#id === id) then(value); };
    this.#sender = new Sender(id, {
      onSettings: current((settings) => {
        this.#say('');
        if (!this.#sender.busy) this.#show(settings);
      }),
      onError: current((error) => {
        this.#touched_ms = -Infinity;
        this.#say(`Not changed: ${error.message}`);
        if (this.#settings) this.#show(this.#settings);
      }),
    });
  }

  /** Takes what the server says once a second. */
  update(camera) {
    for (const row of this.#form.querySelectorAll('[data-kind]')) row.hidden = !camera.settable_background.includes(row.dataset.kind);
    for (const choice of this.#form.querySelectorAll('[data-matte]')) choice.hidden = !camera.settable_matte.includes(choice.dataset.matte);
    if (this.#sender.busy || performance.now() - this.#touched_ms < SETTLE_MS) return;
    this.#show(camera.settings);
  }

  #listen() {
    const { color, blur, file, start, cleanup, still } = this.#el;
    color.addEventListener('input', () => this.#send({ background: color.value }));
    blur.addEventListener('input', () => {
      this.#showBlur(blur.value);
      this.#send({ background: `blur:${blur.value}` }, SLIDER_MS);
    });
    file.addEventListener('change', () => this.#upload());
    start.addEventListener('click', () => this.#send({ background: 'start' }));
    cleanup.addEventListener('change', () => this.#send({ foreground_cleanup: cleanup.checked }));
    still.addEventListener('change', () => this.#send({ skip_still: still.checked }));
    this.#form.addEventListener('change', ({ target }) => {
      if (CHOICES.includes(target.name)) this.#send({ [target.name]: target.value });
      if (target.name !== 'kind') return;
      const kinds = { color: color.value, blur: `blur:${blur.value}`, picture: 'picture', transparent: 'transparent' };
      this.#send({ background: kinds[target.value] });
    });
  }

  #send(change, delay_ms) {
    this.#touched_ms = performance.now();
    this.#sender.send(change, delay_ms);
  }

  #upload() {
    const picture = this.#el.file.files[0];
    if (!picture) return;
    this.#el.file.value = ''; // so that the same file can be chosen again
    if (picture.size > MAX_UPLOAD_BYTES) {
      this.#say('Not changed: the picture is larger than 16 MB.');
      return;
    }
    this.#touched_ms = performance.now();
    this.#say('');
    setText(this.#el.now, 'sending the picture …');
    this.#sender.upload(picture);
  }

  #show(settings) {
    this.#settings = settings;
    const { background } = settings;
    const kind = background.startsWith('#') ? 'color' : background.split(':')[0];
    if (kind === 'picture') this.#has_picture.add(this.#id);
    for (const radio of this.#form.elements.kind) {
      radio.checked = radio.value === kind;
      if (radio.value === 'picture') radio.disabled = !this.#has_picture.has(this.#id);
    }
    setText(this.#el.now, nameOf(background));
    if (kind === 'color' && this.#el.color.value !== background) this.#el.color.value = background;
    if (kind === 'blur') {
      const sigma = background.split(':')[1];
      if (sigma) this.#el.blur.value = sigma;
    }
    this.#showBlur(this.#el.blur.value);
    for (const name of CHOICES) {
      for (const radio of this.#form.elements[name]) radio.checked = radio.value === settings[name];
    }
    this.#el.cleanup.checked = settings.foreground_cleanup;
    this.#el.still.checked = settings.skip_still;
  }

  #showBlur(sigma) {
    setText(this.#el['blur-value'], String(sigma));
  }
}

/** "blur:8" as "blur 8", "picture:beach.jpg" as "picture beach.jpg". */
const nameOf = (background) => background.replace(':', ' ');
