// Starts the page and wires its parts: the live stream in; grid, wall or detail (#camera=ID, #wall)
// out. A map of all files is in docs/design/live.md.
import { Announcer } from './announce.js';
import { Banner } from './banner.js';
import { Detail } from './detail.js';
import { parts, setData, setText } from './dom.js';
import { Faults } from './faults.js';
import { Finder } from './finder.js';
import { Grid } from './grid.js';
import { listen } from './keys.js';
import { Live } from './live.js';
import { ServerLine } from './server.js';
import { TICK_MS, shown } from './shown.js';

const $ = (id) => document.getElementById(id);
const banner = new Banner($('banner'));
const faults = new Faults($('faults'));
const announcer = new Announcer($('announce'));
const server = new ServerLine($('server'), $('sign-out'));
const grid = new Grid($('grid'));
const finder = new Finder(parts($('finder')), tick);
const detail = new Detail($('detail'), {
  close: () => go(''),
  step,
  onView: follow,
  others: () => grid.tiles.map((tile) => tile.camera.id),
});

/** So many cameras need no search. */
const FEW = 4;

let told = null; // the last numbers: {server, errors, cameras}
let clock_offset_ms = 0; // the server's clock less ours
let since_ms = 0; // since when what is shown now is being read
let scroll_y = 0;
let mode = 'grid';

const live = new Live({
  onCameras: take,
  onPart(part) {
    if (part.view === 'tile') grid.get(part.camera)?.picture.offer(part);
    else if (part.camera === detail.id) detail.offer(part);
  },
  onUp() { since_ms = performance.now(); },
  onDown(error) {
    // No such camera, or one without this view: the numbers come all the same.
    if (error.status === 404) live.show({ tiles: false });
    else if (error.status !== 409) banner.lost('live', error);
    else { detail.showPicture(); follow(); }
  },
});

function take(event) {
  // A new version of mattebox brings a new page.
  if (told && told.server.version !== event.server.version) location.reload();
  told = event;
  clock_offset_ms = Date.parse(event.server.now) - Date.now();
  grid.update(event.cameras);
  faults.update(event.errors);
  server.update(event.server);
  banner.back('live');
  $('empty').hidden = event.cameras.length > 0;
  setText($('empty'), ['No cameras yet', ...event.troubles].join(': '));
  showDetail();
  tick();
}

function showDetail() {
  if (detail.id !== null && told) {
    const camera = grid.get(detail.id)?.camera;
    detail.missing(!camera);
    if (camera) detail.update(camera, told.server);
    follow();
  }
}

/** Reads what is shown now, and nothing else. */
function follow() {
  const { id, view } = detail;
  const is_known = id !== null && (!told || grid.get(id) !== undefined);
  live.show(id === null ? { tiles: true } : { tiles: false, camera: is_known ? id : null, view });
}

/** Shows how fresh everything is, on our own clock: nothing here waits for the server. */
function tick() {
  if (!told || document.hidden) return;
  const { connected } = banner;
  const clock_ms = Date.now() + clock_offset_ms;
  const marks = grid.tiles.map((tile) => {
    const { camera } = tile;
    let times = detail.id === null && live.running ? tile.picture.times : null;
    if (camera.id === detail.id) ({ times } = detail);
    const picture = times && { ...times, since_ms };
    const mark = shown(camera, { connected, picture, clock_ms, before: tile.shown });
    tile.mark(mark);
    if (camera.id === detail.id) detail.mark(mark);
    return [camera.id, mark];
  });
  if (connected && detail.id !== null && !grid.get(detail.id)) {
    const pill = 'no such camera';
    detail.mark({ state: 'failed', why: null, since_s: null, old: true, text: '', pill });
  }
  if (connected) announcer.take(marks);
  summarize(marks);
}

function summarize(marks) {
  const counts = new Map();
  for (const [, { state }] of marks) counts.set(state, (counts.get(state) ?? 0) + 1);
  const n = marks.length;
  const states = [...counts].map(([state, k]) => `${k} ${state === 'lost' ? 'unknown' : state}`);
  setText($('summary'), [`${n} camera${n === 1 ? '' : 's'}`, ...states].join(' · '));
  const { text, state, problems_first, by_name } = finder.wanted;
  $('finder').hidden = n <= FEW && !text && !state && !problems_first && by_name;
  finder.update(counts, n, grid.arrange(finder.wanted));
}

/** Shows what the address says: the grid, the wall or a camera. */
function route() {
  const query = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
  const id = query.get('camera');
  const before = detail.id;
  mode = id !== null ? 'detail' : query.has('wall') ? 'wall' : 'grid';
  setData(document.body, 'mode', mode);
  $('cameras').hidden = id !== null;
  if (id !== null && id !== before) {
    if (before === null) scroll_y = window.scrollY;
    detail.open(id, grid.get(id)?.canvas ?? null);
    showDetail();
    window.scrollTo(0, 0);
  } else if (id === null && before !== null) {
    detail.close();
    window.scrollTo(0, scroll_y);
    grid.get(before)?.link.focus({ preventScroll: true });
  }
  if (id !== before) since_ms = performance.now();
  follow();
  document.title = id === null ? 'mattebox' : `${id} · mattebox`;
  tick();
}

function go(hash, how = 'pushState') {
  history[how](null, '', hash === '' ? location.pathname : `#${hash}`);
  route();
}

/** The next camera in the order of the grid, or the one before. */
function step(n) {
  const names = grid.names;
  if (detail.id === null || names.length === 0) return false;
  const at = names.indexOf(detail.id);
  const to = names[at < 0 ? 0 : (at + n + names.length) % names.length];
  if (to !== detail.id) go(`camera=${encodeURIComponent(to)}`, 'replaceState');
  return true;
}

function fullScreen() {
  if (detail.id !== null) detail.toggleFullScreen();
  else if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {});
}

const toggleWall = () => go(mode === 'wall' ? '' : 'wall');

/** A hidden tab reads nothing. */
function followVisibility() {
  if (document.hidden) {
    live.stop();
    banner.forget('live');
  } else {
    since_ms = performance.now();
    live.start();
  }
}

addEventListener('hashchange', route);
addEventListener('popstate', route);
addEventListener('resize', tick);
document.addEventListener('visibilitychange', followVisibility);
$('wall').addEventListener('click', toggleWall);
$('show-keys').addEventListener('click', () => $('keys').showModal());
listen({
  Escape: () => (mode === 'grid' ? false : go('')),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  p: () => step(-1),
  n: () => step(1),
  f: fullScreen,
  w: toggleWall,
  '/': () => (mode === 'grid' ? finder.focus() : false),
  '?': () => $('keys').showModal(),
}, $('keys'));
setInterval(tick, TICK_MS);
route();
if (!document.hidden) followVisibility();
