// The one connection of this window: numbers and pictures. Browsers allow six for one host.
import { livePath } from './api.js';
import { Multipart } from './multipart.js';
import { Stream } from './stream.js';

/** The server sends numbers every second; without a byte for so long it is gone. */
const SILENCE_MS = 3000;

export class Live {
  #stream;
  #path = '';

  /** onCameras({server, errors, cameras}): numbers. onPart(): a picture. onUp, onDown: Stream's. */
  constructor({ onCameras, onPart, onUp, onDown }) {
    const text = new TextDecoder();
    this.#stream = new Stream({
      path: () => this.#path,
      silence_ms: SILENCE_MS,
      onUp,
      onDown,
      reader() {
        const clock = new Clock();
        const multipart = new Multipart(({ headers, bytes }) => {
          if (headers.get('x-event') === 'cameras') {
            onCameras(JSON.parse(text.decode(bytes)));
          } else if (headers.has('x-camera')) {
            onPart({
              camera: headers.get('x-camera'),
              view: headers.get('x-view'),
              frame: headers.get('x-frame'),
              type: headers.get('content-type'),
              bytes,
              ...clock.read(headers),
            });
          }
        });
        return (chunk) => multipart.push(chunk);
      },
    });
  }

  /** wanted: {tiles, camera, view}. Opens another connection where that is something else. */
  show(wanted) {
    const path = livePath(wanted);
    if (path === this.#path) return;
    this.#path = path;
    this.#stream.restart();
  }

  get running() {
    return this.#stream.running;
  }

  start = () => this.#stream.start();
  stop = () => this.#stream.stop();
}

/**
 * How old a picture is when it arrives. The clocks of server and browser may differ, always by the
 * same: a picture's delay is how much longer it took than the fastest of this connection.
 */
class Clock {
  #least = Infinity;
  #sent = 0;
  #arrived_ms = Infinity;

  /** On performance.now()'s clock. taken_ms: when the frame was captured or, if unknown, sent. */
  read(headers) {
    const arrived_ms = performance.now();
    const sent = Number(headers.get('x-sent'));
    // The server's clock was set back.
    if (sent < this.#sent) this.#least += this.#sent - sent;
    this.#sent = sent;
    const way = performance.timeOrigin + arrived_ms - sent;
    // Clocks drift apart: the least grows by 0.2 ms a second.
    this.#least = Math.min(this.#least + Math.max(0, arrived_ms - this.#arrived_ms) / 5000, way);
    this.#arrived_ms = arrived_ms;
    const captured = headers.get('x-captured');
    const before = captured === undefined ? 0 : Math.max(0, sent - Number(captured));
    const taken_ms = arrived_ms - before - (way - this.#least);
    return { arrived_ms, taken_ms, is_captured: captured !== undefined };
  }
}
