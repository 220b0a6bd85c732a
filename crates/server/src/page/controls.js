// The controls of one camera: sends each change, shows the server's answer.
import { copyButton } from './copy.js';
import { setText } from './dom.js';
import { applyToAll, lines } from './keep.js';
import { Sender } from './sender.js';

const SLIDER_MS = 100;
const MAX_UPLOAD_BYTES = 16 * 1024 * 1024;
/** For so long after a change, an older event of the server must not turn the controls back. */
const KEEP_MS = 1200;
const SAID_MS = 3000;
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
  #files = new Map(); // uploads from here, by the name that the server gave
  #thumbnail = null; // of which file it is
  #others;
  #command = 'run';
  #id = null;

  /** say(text): shows a failure, or clears it with ''. others(): names of all cameras. */
  constructor(el, { say, others }) {
    this.#form = el.controls;
    this.#el = el;
    this.#say = say;
    this.#others = others;
    this.#form.addEventListener('submit', (event) => event.preventDefault());
    this.#listen();
  }

  open(id) {
    this.#id = id;
    this.#settings = null;
    this.#touched_ms = -Infinity;
    const current = (then) => (...values) => { if (this.#id === id) then(...values); };
    this.#sender = new Sender(id, {
      onSettings: current((settings, file) => {
        this.#say('');
        if (file) this.#files.set(settings.background, file);
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
  update(camera, server) {
    this.#command = server.command;
    this.#el.rest.hidden = server.command === 'worker'; // there, only the background can change
    this.#el['for-all'].hidden = this.#others().length < 2;
    const { kind, matte } = this.#form.elements;
    for (const radio of kind) {
      radio.closest('.kind').hidden = !camera.settable_background.includes(radio.value);
    }
    for (const radio of matte) {
      radio.parentElement.hidden = !camera.settable_matte.includes(radio.value);
    }
    if (this.#sender.busy || performance.now() - this.#touched_ms < KEEP_MS) return;
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
    this.#el['for-all'].addEventListener('click', () => this.#applyToAll());
    const kept = () => this.#el['keep-lines'].textContent;
    this.#el['keep-copy'].append(copyButton(kept, 'these settings'));
    cleanup.addEventListener('change', () => this.#send({ foreground_cleanup: cleanup.checked }));
    still.addEventListener('change', () => this.#send({ skip_still: still.checked }));
    this.#form.addEventListener('change', ({ target }) => {
      if (CHOICES.includes(target.name)) this.#send({ [target.name]: target.value });
      if (target.name !== 'kind') return;
      const kinds = { color: color.value, blur: `blur:${blur.value}` };
      this.#send({ background: kinds[target.value] ?? target.value });
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

  async #applyToAll() {
    const id = this.#id;
    const button = this.#el['for-all'];
    const ids = this.#others().filter((other) => other !== id);
    button.disabled = true;
    setText(button, `Sending to ${ids.length} …`);
    const file = this.#files.get(this.#settings.background);
    const failed = await applyToAll(ids, this.#settings, file, this.#command);
    button.disabled = false;
    setText(button, failed.length === 0 ? 'Done: all cameras' : 'Use for all cameras');
    setTimeout(() => setText(button, 'Use for all cameras'), SAID_MS);
    if (failed.length > 0) this.#say(`Not changed: ${failed.slice(0, 4).join('; ')}`);
  }

  /** The uploaded picture that is the background, small. */
  #showThumbnail(file) {
    if (file === this.#thumbnail) return;
    const { thumbnail } = this.#el;
    if (this.#thumbnail) URL.revokeObjectURL(thumbnail.src);
    this.#thumbnail = file;
    thumbnail.hidden = file === null;
    if (file) thumbnail.src = URL.createObjectURL(file);
    else thumbnail.removeAttribute('src');
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
    const file = this.#files.get(background);
    setText(this.#el.now, file ? `picture ${file.name}` : nameOf(background));
    this.#showThumbnail(file ?? null);
    const kept = file ? { ...settings, background: `picture:${file.name}` } : settings;
    const { where, text } = lines(this.#id, kept, this.#command);
    setText(this.#el['keep-where'], where);
    setText(this.#el['keep-lines'], text);
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
const nameOf = (background) => background.replace(':', ' ').replace(/(x\d+)-[0-9a-f]{8}$/, '$1');
