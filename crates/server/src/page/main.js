// Starts the page and wires its parts: events and wall in, grid and detail out, the address (#camera=ID) between them.
//
// * api.js: requests; stream.js: endless answers, opened again when they break; events.js, wall.js, multipart.js: what they carry.
// * picture.js: draws the newest picture; shown.js: which state a person is shown; announce.js, banner.js, faults.js: say what changed.
// * grid.js, tile.js: all cameras; detail.js, controls.js, sender.js, plot.js: one of them; dom.js, words.js: small helpers.
import { Announcer } from './announce.js';
import { Banner } from './banner.js';
import { Detail } from './detail.js';
import { setText } from './dom.js';
import { events } from './events.js';
import { Faults } from './faults.js';
import { Grid } from './grid.js';
import { TICK_MS, pillText, shown } from './shown.js';
import { wall } from './wall.js';

const $ = (id) => document.getElementById(id);
const banner = new Banner($('banner'));
const faults = new Faults($('faults'));
const announcer = new Announcer($('announce'));
const grid = new Grid($('grid'));
const detail = new Detail($('detail'), {
  onUp: () => banner.back('picture'),
  onDown: (error) => banner.lost('picture', error),
  onStop: () => banner.forget('picture'),
}, closeDetail);

let told = null; // the last event: {server, cameras}
let clock_offset_ms = 0; // the server's clock less ours
let wall_since_ms = 0;
let scroll_y = 0;

const wallStream = wall({
  onPart: (part) => grid.get(part.camera)?.picture.offer(part),
  onUp() { wall_since_ms = performance.now(); banner.back('wall'); },
  onDown: (error) => banner.lost('wall', error),
});

const eventStream = events({
  onCameras: takeEvent,
  onDown: (error) => banner.lost('events', error),
});

function takeEvent(event) {
  // A new version of mattebox brings a new page.
  if (told && told.server.version !== event.server.version) location.reload();
  if (banner.isDown('events')) {
    // What hung with the events may hang still, without a word: read it anew.
    wallStream.restart();
    detail.resume();
  }
  told = event;
  clock_offset_ms = Date.parse(event.server.now) - Date.now();
  grid.update(event.cameras);
  faults.update(event.errors);
  banner.back('events');
  $('empty').hidden = event.cameras.length > 0;
  setText($('empty'), 'There are no cameras yet.');
  setText($('server'), `${event.server.viewers} of ${event.server.max_viewers} viewers · ${event.server.version}`);
  if (detail.id !== null) updateDetail();
  tick();
}

function updateDetail() {
  const camera = grid.get(detail.id)?.camera;
  if (!camera) {
    detail.pause();
    return;
  }
  if (!detail.reading) detail.resume();
  detail.update(camera, told.server);
}

/** Shows how fresh everything is, on our own clock: nothing here waits for the server. */
function tick() {
  if (!told || document.hidden) return;
  const { connected } = banner;
  const clock_ms = Date.now() + clock_offset_ms;
  const marks = grid.tiles.map((tile) => {
    const { camera } = tile;
    let picture = wallStream.running ? { arrived_ms: tile.picture.arrived_ms, since_ms: wall_since_ms } : null;
    if (camera.id === detail.id) ({ picture } = detail);
    const mark = shown(camera, { connected, picture, clock_ms });
    tile.mark(mark);
    if (camera.id === detail.id) detail.mark(mark);
    return [camera.id, mark];
  });
  if (connected && detail.id !== null && !grid.get(detail.id)) {
    detail.mark({ state: 'failed', why: 'there is no camera of this name', since_s: null, old: true, text: 'no such camera' });
  }
  if (connected) announcer.take(marks);
  summarize(marks);
}

function summarize(marks) {
  const counts = new Map();
  for (const [, { state }] of marks) counts.set(state, (counts.get(state) ?? 0) + 1);
  const n = marks.length;
  setText($('summary'), [`${n} camera${n === 1 ? '' : 's'}`, ...[...counts].map(([state, k]) => `${k} ${pillText(state)}`)].join(' · '));
}

/** Shows what the address says: the grid or a camera. */
function route() {
  const id = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B')).get('camera');
  const before = detail.id;
  if (id === before) return;
  if (id !== null) {
    if (before === null) scroll_y = window.scrollY;
    wallStream.stop();
    banner.forget('wall');
    $('cameras').hidden = true;
    const tile = grid.get(id);
    detail.open(id, tile?.canvas ?? null);
    if (told) updateDetail();
    window.scrollTo(0, 0);
  } else {
    detail.close();
    $('cameras').hidden = false;
    readWall();
    window.scrollTo(0, scroll_y);
    grid.get(before)?.link.focus({ preventScroll: true });
  }
  document.title = id === null ? 'mattebox' : `${id} · mattebox`;
  tick();
}

function closeDetail() {
  history.pushState(null, '', location.pathname);
  route();
}

function readWall() {
  wall_since_ms = performance.now();
  wallStream.start();
}

/** Nobody looks at a hidden tab: it reads nothing. */
function followVisibility() {
  if (document.hidden) {
    for (const stream of [eventStream, wallStream]) stream.stop();
    detail.pause();
    for (const name of ['events', 'wall']) banner.forget(name);
    return;
  }
  eventStream.start();
  if (detail.id === null) readWall();
  else detail.resume();
}

addEventListener('hashchange', route);
addEventListener('popstate', route);
document.addEventListener('visibilitychange', followVisibility);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && detail.id !== null && !event.defaultPrevented) closeDetail();
});
setInterval(tick, TICK_MS);
route();
if (!document.hidden) followVisibility();
