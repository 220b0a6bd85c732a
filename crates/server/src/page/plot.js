// A line plot of the last minutes as SVG, with values under the pointer and for screen readers.
import { make } from './dom.js';
import { clockTime } from './words.js';

const WIDTH = 480;
const HEIGHT = 150;
const LEFT = 40;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 22;
/** Seconds without a value break the line. */
const MAX_GAP_S = 2.5;

export class Plot {
  #title;
  #unit;
  #lines;
  #scale;
  #svg = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
  #pointer = svg('path', { class: 'pointer' });
  #when = make('span', null, 'when');
  #values = [];
  #series = [];
  #seconds = [];
  #pointed = null; // the share of the width where the pointer is

  /** lines: name -> key of the history: one solid, one dashed. Shown times scale. */
  constructor(figure, title, unit, lines, scale = 1) {
    this.#title = title;
    this.#unit = unit;
    this.#lines = Object.entries(lines);
    this.#scale = scale;
    const caption = make('figcaption');
    caption.append(make('h3', `${title}, ${unit}`));
    const legend = make('p', null, 'legend');
    this.#lines.forEach(([name], i) => {
      const item = make('span', null, 'key');
      const value = make('b');
      const mark = svg('svg', { viewBox: '0 0 18 4', 'aria-hidden': 'true' });
      mark.append(svg('path', { d: 'M0 2H18', class: `line line-${i}` }));
      item.append(mark, `${name} `, value);
      legend.append(item);
      this.#values.push(value);
    });
    legend.append(this.#when);
    caption.append(legend);
    figure.append(caption, this.#svg);
    this.#svg.addEventListener('pointermove', (event) => {
      const box = this.#svg.getBoundingClientRect();
      this.#pointed = (event.clientX - box.left) / box.width;
      this.#point();
    });
    this.#svg.addEventListener('pointerleave', () => {
      this.#pointed = null;
      this.#point();
    });
  }

  /** history: {seconds, and an array for each key}. */
  draw(history) {
    const seconds = history?.seconds ?? [];
    const scaled = (value) => (value == null ? value : value * this.#scale);
    const series = this.#lines.map(([, key]) => (history?.[key] ?? []).map(scaled));
    this.#series = series;
    this.#seconds = seconds;
    this.#svg.replaceChildren();
    this.#describe();
    const known = series.flat().filter((value) => value != null);
    const top = niceTop(Math.max(0, ...known));
    const { last, span } = this.#range();
    const x = (second) => LEFT + (WIDTH - LEFT - RIGHT) * (1 - (last - second) / span);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    for (const value of [0, top / 2, top]) {
      this.#svg.append(svg('path', { class: 'rule', d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }));
      this.#label(LEFT - 6, y(value) + 4, 'end', String(value));
    }
    if (seconds.length > 0) {
      this.#label(LEFT, HEIGHT - 5, 'start', time(last - span));
      this.#label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, 'middle', time(last - span / 2));
      this.#label(WIDTH - RIGHT, HEIGHT - 5, 'end', time(last));
    }
    series.forEach((values, i) => {
      const d = pathOf(seconds, values, x, y);
      this.#svg.append(svg('path', { class: `line line-${i}`, d }));
    });
    this.#svg.append(this.#pointer);
    this.#point();
  }

  #range() {
    const last = this.#seconds.at(-1) ?? 0;
    return { last, span: Math.max(60, last - (this.#seconds[0] ?? last)) };
  }

  /** The legend has the values under the pointer, or the newest. */
  #point() {
    let at = -1;
    if (this.#pointed !== null && this.#seconds.length > 0) {
      const { last, span } = this.#range();
      const share = (this.#pointed * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
      const second = last - span * (1 - share);
      const far = (i) => Math.abs(this.#seconds[i] - second);
      at = this.#seconds.reduce((best, _, i) => (best < 0 || far(i) < far(best) ? i : best), -1);
      const x = LEFT + (WIDTH - LEFT - RIGHT) * (1 - (last - this.#seconds[at]) / span);
      this.#pointer.setAttribute('d', `M${x.toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`);
    } else {
      this.#pointer.removeAttribute('d');
    }
    this.#when.textContent = at < 0 ? '' : `at ${time(this.#seconds[at])}`;
    this.#values.forEach((el, i) => {
      const values = this.#series[i] ?? [];
      el.textContent = text(at < 0 ? values.findLast((value) => value != null) : values[at]);
    });
  }

  #label(x, y, anchor, content) {
    const label = svg('text', { x, y, 'text-anchor': anchor });
    label.textContent = content;
    this.#svg.append(label);
  }

  #describe() {
    const told = this.#lines.map(([name], i) => {
      const known = this.#series[i].filter((value) => value != null);
      if (known.length === 0) return ` ${name}: no values.`;
      const [now, low, high] = [known.at(-1), Math.min(...known), Math.max(...known)].map(text);
      return ` ${name}: now ${now}, lowest ${low}, highest ${high}.`;
    });
    const head = `${this.#title} over the last ${this.#seconds.length} seconds, in ${this.#unit}.`;
    this.#svg.setAttribute('aria-label', head + told.join(''));
  }
}

const time = (unix_s) => clockTime(unix_s * 1000);
const text = (value) => (value == null ? '–' : value.toFixed(1));

function pathOf(seconds, values, x, y) {
  let path = '';
  let before = null;
  values.forEach((value, i) => {
    if (value == null) return;
    const joined = before !== null && seconds[i] - before <= MAX_GAP_S;
    path += `${joined ? 'L' : 'M'}${x(seconds[i]).toFixed(1)} ${y(value).toFixed(1)}`;
    before = seconds[i];
  });
  return path;
}

/** A round number that is not below the highest value. */
function niceTop(highest) {
  if (highest <= 0) return 10;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((value) => value >= highest);
}

function svg(tag, attributes) {
  const el = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
  return el;
}
