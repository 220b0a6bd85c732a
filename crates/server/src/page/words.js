// Numbers and times as people read them.

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const NOTHING = '–';

/** 5 s, 3 min, 2 h, 4 days */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 100) return `${s} s`;
  if (s < 100 * 60) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

export const fixed = (value, digits) => (value == null ? NOTHING : value.toFixed(digits));

export const count = (value) => (value == null ? NOTHING : value < 10_000 ? String(value) : compact.format(value));

export const milliseconds = (value) => (value == null ? NOTHING : `${value.toFixed(value < 10 ? 1 : 0)} ms`);

export const percent = (value) => (value == null ? NOTHING : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`);

/** How old a picture is. Where the source does not say when it captured a frame, it is at least so old. */
export const age = ({ age_s, is_captured }) => (age_s == null ? NOTHING : `${is_captured ? '' : '≥ '}${age_s.toFixed(1)} s`);

export const mebibytes = (value) => (value == null ? NOTHING : `${(value / 2 ** 20).toFixed(0)} MiB`);

export const clockTime = (iso) => new Date(iso).toLocaleTimeString('en-GB');
