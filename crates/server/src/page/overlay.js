// The people of one camera on a transparent background. A picture of the stream has their colours
// times alpha above and alpha below; together they are pixels with transparency.
import { Live } from './live.js';

/** What stands still for so long is no live picture, and goes. */
const GONE_MS = 3000;
/** The matte begins at a multiple of so many rows. */
const BLOCK = 16;
/** Less alpha than this is noise of the JPEG file. */
const NOISE = 6;

const id = decodeURIComponent(location.pathname.split('/').at(-1));
const canvas = document.getElementById('people');
const said = document.getElementById('said');
const context = canvas.getContext('2d');
const scratch = document.createElement('canvas')
  .getContext('2d', { alpha: false, willReadFrequently: true });
let newest = null;
let is_busy = false;
let frame = null;
let news_ms = 0;
document.title = `${id} · mattebox overlay`;

const live = new Live({
  onCameras: () => { said.textContent = ''; },
  onPart(part) {
    // The last one is sent again while no new one comes.
    if (part.frame === frame) return;
    news_ms = performance.now();
    frame = part.frame;
    newest = part;
    draw();
  },
  onUp: () => {},
  // A program that shows pages has no console.
  onDown: (error) => { if (error.status) said.textContent = error.message; },
});

async function draw() {
  if (is_busy) return;
  is_busy = true;
  while (newest) {
    const part = newest;
    newest = null;
    try {
      const bitmap = await createImageBitmap(new Blob([part.bytes], { type: part.type }));
      put(bitmap);
      bitmap.close();
    } catch {
      // Bytes that are no picture: the one before stays until it is too old.
    }
  }
  is_busy = false;
}

function put(bitmap) {
  const { width } = bitmap;
  // The height is that of the colours, filled up to whole blocks, and that of the matte.
  let height = bitmap.height >> 1;
  while (height + BLOCK * Math.ceil(height / BLOCK) > bitmap.height) height -= 1;
  for (const [of, h] of [[scratch.canvas, bitmap.height], [canvas, height]]) {
    if (of.width !== width) of.width = width;
    if (of.height !== h) of.height = h;
  }
  scratch.drawImage(bitmap, 0, 0);
  const colours = scratch.getImageData(0, 0, width, height);
  const mattes = scratch.getImageData(0, bitmap.height - height, width, height).data;
  const { data } = colours;
  for (let i = 0; i < data.length; i += 4) {
    const alpha = mattes[i + 1];
    if (alpha < NOISE) {
      data[i + 3] = 0;
    } else {
      // The canvas multiplies with alpha again; it keeps what is above 255 at 255.
      const by = 255 / alpha;
      data[i] *= by;
      data[i + 1] *= by;
      data[i + 2] *= by;
      data[i + 3] = alpha;
    }
  }
  context.putImageData(colours, 0, 0);
}

setInterval(() => {
  if (performance.now() - news_ms > GONE_MS) context.clearRect(0, 0, canvas.width, canvas.height);
}, 500);
live.show({ tiles: false, camera: id, view: 'overlay' });
live.start();
