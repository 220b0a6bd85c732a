// A line plot of the last minutes as SVG, with its numbers as text for those who do not see it.
import { make } from './dom.js';

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
  #svg = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
  #values = [];

  /** lines: [{name, key}], keys of the history; the first is drawn solid, the second dashed. */
  constructor(figure, title, unit, lines) {
    this.#title = title;
    this.#unit = unit;
    this.#lines = lines;
    const caption = make('figcaption');
    caption.append(make('h3', `${title}, ${unit}`));
    const legend = make('p', null, 'legend');
    lines.forEach(({ name }, i) => {
      const item = make('span', null, 'key');
      const value = make('b');
      const mark = svg('svg', { viewBox: '0 0 18 4', 'aria-hidden': 'true' });
      mark.append(svg('path', { d: 'M0 2H18', class: `line line-${i}` }));
      item.append(mark, `${name} `, value);
      legend.append(item);
      this.#values.push(value);
    });
    caption.append(legend);
    figure.append(caption, this.#svg);
  }

  /** history: {seconds, and an array for each key}. */
  draw(history) {
    const seconds = history?.seconds ?? [];
    this.#svg.replaceChildren();
    const series = this.#lines.map(({ key }) => history?.[key] ?? []);
    const known = series.flat().filter((value) => value != null);
    this.#values.forEach((el, i) => { el.textContent = text(series[i].findLast((value) => value != null)); });
    this.#describe(series, seconds);
    const top = niceTop(Math.max(0, ...known));
    const last = seconds.at(-1) ?? 0;
    const span = Math.max(60, last - (seconds[0] ?? last));
    const x = (second) => LEFT + (WIDTH - LEFT - RIGHT) * (1 - (last - second) / span);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    for (const value of [0, top / 2, top]) {
      this.#svg.append(svg('path', { class: 'rule', d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }));
      this.#label(LEFT - 6, y(value) + 4, 'end', String(value));
    }
    this.#label(LEFT, HEIGHT - 5, 'start', span < 100 ? `${Math.round(span)} s ago` : `${Math.round(span / 60)} min ago`);
    this.#label(WIDTH - RIGHT, HEIGHT - 5, 'end', 'now');
    series.forEach((values, i) => this.#svg.append(svg('path', { class: `line line-${i}`, d: pathOf(seconds, values, x, y) })));
  }

  #label(x, y, anchor, content) {
    const label = svg('text', { x, y, 'text-anchor': anchor });
    label.textContent = content;
    this.#svg.append(label);
  }

  #describe(series, seconds) {
    const told = this.#lines.map(({ name }, i) => {
      const known = series[i].filter((value) => value != null);
      return known.length === 0 ? `${name}: no values`
        : `${name}: now ${text(known.at(-1))}, lowest ${text(Math.min(...known))}, highest ${text(Math.max(...known))}`;
    });
    this.#svg.setAttribute('aria-label', `${this.#title} over the last ${seconds.length} seconds, in ${this.#unit}. ${told.join('. ')}.`);
  }
}

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
