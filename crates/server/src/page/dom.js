// Small helpers for elements. Text is set only where it changed: many tiles cost nothing.
import { clockTime } from './words.js';

/** The elements inside root that carry data-el or else data-testid, by that name. */
export const parts = (root) => Object.fromEntries(
  [...root.querySelectorAll('[data-el], [data-testid]')]
    .map((el) => [el.dataset.el ?? el.dataset.testid, el]),
);

export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

export function setData(el, name, value) {
  if (el.dataset[name] !== value) el.dataset[name] = value;
}

export function make(tag, text, className) {
  const el = document.createElement(tag);
  if (text != null) el.textContent = text;
  if (className) el.className = className;
  return el;
}

/** Fills a list with [{time, message}]. */
export function fillErrors(ul, errors) {
  ul.replaceChildren(...errors.map(({ time, message }) => {
    const item = make('li');
    const when = make('time', clockTime(time));
    when.dateTime = time;
    item.append(when, ' ', make('span', message));
    return item;
  }));
}

/** Fills a dl with [name, value] pairs. */
export function fillList(dl, pairs) {
  if (dl.children.length !== pairs.length) {
    dl.replaceChildren(...pairs.map(() => {
      const row = make('div');
      row.append(make('dt'), make('dd'));
      return row;
    }));
  }
  pairs.forEach(([name, value], i) => {
    setText(dl.children[i].firstChild, name);
    setText(dl.children[i].lastChild, value);
  });
}
