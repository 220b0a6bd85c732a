// Takes multipart/x-mixed-replace apart as its bytes arrive: header lines, an empty line,
// Content-Length bytes, and so on.

const MAX_HEADER_BYTES = 8192;
const MAX_PART_BYTES = 32 * 1024 * 1024;
const HEADER_END = [13, 10, 13, 10];

export class Multipart {
  #buffer = new Uint8Array(256 * 1024);
  #start = 0; // the first byte that is not taken yet
  #end = 0; // after the last byte that has arrived
  #searched = 0; // no end of a header begins before this
  #part = null; // the part whose bytes are still arriving
  #onPart;
  #text = new TextDecoder('latin1');

  /** onPart({headers, bytes}): headers is a Map with lower-case names; the bytes may be kept. */
  constructor(onPart) {
    this.#onPart = onPart;
  }

  /** Throws where the bytes are no multipart stream. */
  push(chunk) {
    this.#append(chunk);
    for (;;) {
      this.#part ??= this.#header();
      if (!this.#part) return;
      const { headers, length } = this.#part;
      if (this.#end - this.#start < length) return;
      const bytes = this.#buffer.slice(this.#start, this.#start + length);
      this.#start += length;
      this.#searched = this.#start;
      this.#part = null;
      this.#onPart({ headers, bytes });
    }
  }

  #header() {
    const bytes = this.#buffer;
    for (let i = Math.max(this.#searched, this.#start); i + 3 < this.#end; i++) {
      if (HEADER_END.some((byte, n) => bytes[i + n] !== byte)) continue;
      const headers = new Map();
      for (const line of this.#text.decode(bytes.subarray(this.#start, i)).split('\r\n')) {
        const colon = line.indexOf(':');
        const name = line.slice(0, colon).toLowerCase();
        if (colon > 0) headers.set(name, line.slice(colon + 1).trim());
      }
      this.#start = i + 4;
      this.#searched = this.#start;
      if (headers.size === 0) continue; // an empty line before the boundary
      const length = Number(headers.get('content-length') ?? NaN);
      if (!(length >= 0 && length <= MAX_PART_BYTES)) {
        throw new Error('a part without a valid Content-Length');
      }
      return { headers, length };
    }
    this.#searched = Math.max(this.#start, this.#end - 3);
    if (this.#end - this.#start > MAX_HEADER_BYTES) {
      throw new Error('the header of a part is too long');
    }
    return null;
  }

  #append(chunk) {
    const waiting = this.#end - this.#start;
    if (this.#end + chunk.length > this.#buffer.length) {
      let size = this.#buffer.length;
      while (size < waiting + chunk.length) size *= 2;
      const target = size === this.#buffer.length ? this.#buffer : new Uint8Array(size);
      target.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = target;
      this.#searched -= this.#start;
      this.#start = 0;
      this.#end = waiting;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }
}
