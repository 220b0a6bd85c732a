// The state that a person sees. Pictures that arrive here count more than the server's word.
import { duration } from './words.js';

/** Without a new picture for so long it is stale. Checked every TICK_MS: marked within 2 s. */
const STALE_MS = 1600;
export const TICK_MS = 150;
/** From capture to screen. */
const LATE_MS = 1000;
const VERY_LATE_MS = 5000;
/** A slow camera may be as late as two of its intervals, but not later. */
const SLOW_MS = 3000;
/** A late camera is in time again below this share of the limit. */
const CALM = 0.8;

/**
 * camera: as the server describes it; clock_ms: the server's time now; before: the last result.
 * picture: null where its pictures are not read; else Picture.times and since when they are.
 * Gives {state, why, since_s, age_s, old, text}: old: no live picture; text: to write over it.
 */
export function shown(camera, { connected, picture, clock_ms, before }) {
  const since_s = (clock_ms - Date.parse(camera.since)) / 1000;
  const { state } = camera;
  const mark = { state, why: null, since_s, age_s: null, is_captured: false, old: false, text: '' };
  if (!connected) {
    return { ...mark, state: 'lost', since_s: null, old: true, text: 'not connected' };
  }
  if (state !== 'live') {
    const first = state === 'connecting' ? 'waiting for the first frame' : null;
    const why = camera.why ?? first;
    const time = state === 'ended' ? '' : ` for ${duration(since_s)}`;
    return { ...mark, why, old: true, text: `${state}${time}${why ? `: ${why}` : ''}` };
  }
  if (!picture) return mark;
  const now_ms = performance.now();
  const silent_ms = now_ms - picture.arrived_ms;
  // A camera of few frames per second is not late between two of them.
  const interval_ms = camera.fps_read > 0 ? 1000 / camera.fps_read : 0;
  const old = silent_ms > Math.max(STALE_MS, Math.min(3 * interval_ms, 10_000));
  if (old) {
    if (now_ms - picture.since_ms <= STALE_MS) return { ...mark, old };
    const why = Number.isFinite(silent_ms)
      ? `no picture for ${duration(silent_ms / 1000)}` : 'no picture yet';
    return { ...mark, state: 'stalled', why, since_s: null, old, text: why };
  }
  const age_ms = now_ms - picture.taken_ms;
  const calm = before?.state === 'late' ? CALM : 1;
  const limit_ms = Math.min(Math.max(LATE_MS, 2 * interval_ms), SLOW_MS);
  const way_ms = picture.arrived_ms - picture.taken_ms;
  const is_late = age_ms >= limit_ms * calm || way_ms >= LATE_MS * calm;
  const aged = { ...mark, age_s: age_ms / 1000, is_captured: picture.is_captured };
  if (!is_late) return aged;
  return { ...aged, state: 'late', since_s: null, very: age_ms >= VERY_LATE_MS };
}

/** The text of a state's pill. */
export function pillText({ state, age_s, pill }) {
  if (pill) return pill;
  if (state === 'lost') return 'unknown';
  return state === 'late' && age_s != null ? `late ${age_s.toFixed(1)} s` : state;
}

/** States from the worst to the best. */
export const STATES = [
  'failed', 'reconnecting', 'stalled', 'connecting', 'late', 'lost', 'live', 'ended',
];
