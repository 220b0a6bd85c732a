// The tiles of all cameras, in order, filtered; only visible ones are drawn.
import { setData } from './dom.js';
import { STATES } from './shown.js';
import { Tile } from './tile.js';

const natural = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

export class Grid {
  #list;
  #tiles = new Map();
  #order = []; // names as the server gives them
  #observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const tile = this.#tiles.get(entry.target.dataset.camera);
      if (tile) tile.picture.visible = entry.isIntersecting;
    }
  }, { rootMargin: '80px' });

  constructor(list) {
    this.#list = list;
    list.addEventListener('keydown', (event) => this.#move(event));
  }

  get tiles() {
    return [...this.#tiles.values()];
  }

  get(id) {
    return this.#tiles.get(id);
  }

  /** The names that are shown, in their order. */
  get names() {
    return [...this.#list.children].filter((el) => !el.hidden).map((el) => el.dataset.camera);
  }

  update(cameras) {
    this.#order = cameras.map((camera) => camera.id);
    const ids = new Set(this.#order);
    for (const [id, tile] of this.#tiles) {
      if (ids.has(id)) continue;
      this.#observer.unobserve(tile.root);
      tile.root.remove();
      this.#tiles.delete(id);
    }
    for (const camera of cameras) {
      let tile = this.#tiles.get(camera.id);
      if (tile) {
        tile.update(camera);
      } else {
        tile = new Tile(camera);
        this.#tiles.set(camera.id, tile);
        this.#observer.observe(tile.root);
        this.#list.append(tile.root);
      }
    }
  }

  /** Puts the tiles in order and shows those that are looked for. */
  arrange({ text, state, problems_first, by_name }) {
    const names = by_name ? [...this.#order].sort(natural.compare) : [...this.#order];
    const rank = (id) => STATES.indexOf(this.#tiles.get(id).shown?.state ?? 'live');
    if (problems_first) names.sort((a, b) => rank(a) - rank(b)); // a stable sort
    const focused = document.activeElement;
    let n = 0;
    names.forEach((id, i) => {
      const { root, shown } = this.#tiles.get(id);
      const hidden = !id.toLowerCase().includes(text) || (state !== null && shown?.state !== state);
      if (root.hidden !== hidden) root.hidden = hidden;
      if (!hidden) n += 1;
      const there = this.#list.children[i] ?? null;
      if (there !== root) this.#list.insertBefore(root, there);
    });
    // What is moved loses the focus.
    if (focused !== document.activeElement && this.#list.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
    setData(this.#list, 'size', n === 1 ? 'one' : n <= 4 ? 'few' : n <= 20 ? 'some' : 'many');
    this.#fit(n);
    return n;
  }

  /** For the wall: as many columns as make the tiles largest. */
  #fit(n) {
    const shape = (16 / 9) / (innerWidth / innerHeight);
    const columns = Math.max(1, Math.round(Math.sqrt(n / shape)));
    const value = String(n <= columns ? n : columns);
    const style = this.#list.style;
    if (style.getPropertyValue('--columns') !== value) style.setProperty('--columns', value);
    const rows = String(Math.ceil(n / Math.max(1, Number(value))));
    if (style.getPropertyValue('--rows') !== rows) style.setProperty('--rows', rows);
  }

  #move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const links = [...this.#list.querySelectorAll('li:not([hidden]) a')];
    const from = links.indexOf(document.activeElement);
    const columns = getComputedStyle(this.#list).gridTemplateColumns.split(' ').length;
    const to = {
      ArrowLeft: from - 1,
      ArrowRight: from + 1,
      ArrowUp: from - columns,
      ArrowDown: from + columns,
      Home: 0,
      End: links.length - 1,
    }[event.key];
    if (from < 0 || to === undefined) return;
    event.preventDefault();
    links[to]?.focus();
  }
}
