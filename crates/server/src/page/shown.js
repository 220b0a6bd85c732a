// The state that a person is shown. It trusts the pictures that arrive here more than what the server says.
import { duration } from './words.js';

/** A picture older than this is stale. Checked every TICK_MS, so that it is marked within 2 s. */
const STALE_MS = 1600;
export const TICK_MS = 150;

/**
 * camera: as the server describes it, and clock_ms: the server's time now.
 * picture: null where its pictures are not being read; else {arrived_ms, since_ms}, since_ms: since when they are being read.
 * Gives {state, why, old, text}: old: the picture is no live one; text: what to write over it.
 */
export function shown(camera, { connected, picture, clock_ms }) {
  const since_s = (clock_ms - Date.parse(camera.since)) / 1000;
  if (!connected) return { state: 'lost', why: null, since_s: null, old: true, text: 'not connected' };
  if (camera.state !== 'live') {
    const why = camera.why ? `: ${camera.why}` : '';
    const text = camera.state === 'ended' ? `ended${why}` : `${camera.state} for ${duration(since_s)}${why}`;
    return { state: camera.state, why: camera.why, since_s, old: true, text };
  }
  if (!picture) return { state: 'live', why: null, since_s, old: false, text: '' };
  const now_ms = performance.now();
  const age_ms = now_ms - picture.arrived_ms;
  const old = age_ms > STALE_MS;
  if (!old || now_ms - picture.since_ms <= STALE_MS) return { state: 'live', why: null, since_s, old, text: '' };
  const why = Number.isFinite(age_ms) ? `no picture for ${duration(age_ms / 1000)}` : 'no picture yet';
  return { state: 'stalled', why, since_s: null, old, text: why };
}

const PILLS = { lost: 'unknown' };
export const pillText = (state) => PILLS[state] ?? state;
