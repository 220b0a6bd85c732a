// Draws the newest picture of a camera on a canvas; knows its age.

export class Picture {
  #canvas;
  #context;
  #newest = null; // the part that waits to be drawn
  #stream = 0; // counts the streams, so that no picture of one is drawn as another's
  #frame = null;
  #news_ms = -Infinity; // when a frame came that we did not have
  #busy = false;
  #visible = true;
  #arrived_ms = -Infinity;
  #taken_ms = -Infinity; // of the newest frame that came
  #shown = { taken_ms: -Infinity, is_captured: false };

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false });
  }

  /** When the shown picture arrived, and when it was taken, on performance.now()'s clock. */
  get times() {
    return { arrived_ms: this.#arrived_ms, ...this.#shown };
  }

  /** Nothing is decoded while it cannot be seen. */
  set visible(visible) {
    this.#visible = visible;
    this.#draw();
  }

  offer(part) {
    // A new connection may begin with the frame that we have: it is drawn, but it is no news.
    const is_news = part.frame !== this.#frame;
    if (is_news) this.#news_ms = part.arrived_ms;
    if (is_news || part.is_captured) this.#taken_ms = part.taken_ms;
    this.#frame = part.frame;
    part.arrived_ms = this.#news_ms;
    part.taken_ms = this.#taken_ms;
    this.#newest = part;
    if (this.#visible) this.#draw();
    else this.#note(part);
  }

  /** Shows another canvas's picture, or nothing, until the first of our own comes. */
  borrow(canvas) {
    if (canvas) this.#resize(canvas.width, canvas.height);
    if (canvas) this.#context.drawImage(canvas, 0, 0);
    else this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #note({ arrived_ms, taken_ms, is_captured }) {
    this.#arrived_ms = arrived_ms;
    this.#shown = { taken_ms, is_captured };
  }

  /** What comes from now on is another stream. */
  forget() {
    this.#stream += 1;
    this.#newest = null;
    this.#frame = null;
    this.#arrived_ms = -Infinity;
  }

  async #draw() {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#newest && this.#visible) {
      const part = this.#newest;
      const stream = this.#stream;
      this.#newest = null;
      try {
        const bitmap = await createImageBitmap(new Blob([part.bytes], { type: part.type }));
        if (stream !== this.#stream) continue;
        this.#resize(bitmap.width, bitmap.height);
        this.#context.drawImage(bitmap, 0, 0);
        bitmap.close();
        this.#note(part);
      } catch {
        // Bytes that are no picture: the one before stays, and gets old.
      }
    }
    this.#busy = false;
  }

  #resize(width, height) {
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
  }
}
