// Lines to paste into other programs, so that they show this camera.
import { copyButton } from './copy.js';
import { make, setText } from './dom.js';

export class Lines {
  #el;
  #rows = new Map();

  constructor(el) {
    this.#el = el;
  }

  update(camera, server) {
    const plain = new URL(camera.streams.mjpeg, location.href).href;
    const frame = new URL(camera.streams.frame, location.href).href;
    // Players take a token as the password in the address; a browser that has signed in needs none.
    const open = (url) => (server.token ? url.replace('://', '://x:TOKEN@') : url);
    const url = open(plain);
    this.#row('Address', 'stream-url', plain);
    this.#row('VLC', 'line-vlc', `vlc ${quoted(url)}`);
    this.#row('ffplay', 'line-ffplay', `ffplay -fflags nobuffer ${quoted(url)}`);
    this.#row('OpenCV', 'line-opencv', `cv2.VideoCapture(${JSON.stringify(url)})`);
    this.#row('HTML', 'line-img', `<img src="${plain}" alt="${camera.id}">`);
    const file = quoted(`${camera.id}.png`);
    this.#row('Picture', 'line-curl', `curl -o ${file} ${quoted(open(frame))}`);
    const overlay = new URL(`/overlay/${encodeURIComponent(camera.id)}`, location.href).href;
    this.#row('OBS', 'line-obs', camera.views.includes('overlay') ? overlay : '');
  }

  #row(name, testid, text) {
    let row = this.#rows.get(name);
    if (!row) {
      row = { text: '', root: make('div'), code: make('code') };
      row.code.dataset.testid = testid;
      const value = make('dd');
      value.append(row.code, copyButton(() => row.text, `the line for ${name}`));
      row.root.append(make('dt', name), value);
      this.#rows.set(name, row);
      this.#el.append(row.root);
    }
    row.text = text;
    row.root.hidden = text === '';
    setText(row.code, text);
  }
}

/** For a shell. */
const quoted = (text) =>
  (/^[\w.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
