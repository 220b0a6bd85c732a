// The tiles of all cameras: keeps them in step with the server, draws the visible ones, moves between them by arrow keys.
import { setData } from './dom.js';
import { Tile } from './tile.js';

export class Grid {
  #list;
  #tiles = new Map();
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

  update(cameras) {
    const ids = new Set(cameras.map((camera) => camera.id));
    for (const [id, tile] of this.#tiles) {
      if (ids.has(id)) continue;
      this.#observer.unobserve(tile.root);
      tile.root.remove();
      this.#tiles.delete(id);
    }
    cameras.forEach((camera, i) => {
      let tile = this.#tiles.get(camera.id);
      if (tile) {
        tile.update(camera);
      } else {
        tile = new Tile(camera);
        this.#tiles.set(camera.id, tile);
        this.#observer.observe(tile.root);
      }
      if (this.#list.children[i] !== tile.root) this.#list.insertBefore(tile.root, this.#list.children[i] ?? null);
    });
    const n = cameras.length;
    setData(this.#list, 'size', n === 1 ? 'one' : n <= 4 ? 'few' : n <= 20 ? 'some' : 'many');
  }

  #move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const links = [...this.#list.querySelectorAll('a')];
    const from = links.indexOf(document.activeElement);
    const columns = getComputedStyle(this.#list).gridTemplateColumns.split(' ').length;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - columns, ArrowDown: from + columns, Home: 0, End: links.length - 1 }[event.key];
    if (from < 0 || to === undefined) return;
    event.preventDefault();
    links[to]?.focus();
  }
}
