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

const known = (text) => (value) => (value == null ? NOTHING : text(value));

export const fixed = (value, digits) => known((v) => v.toFixed(digits))(value);

export const count = known((n) => (n < 10_000 ? String(n) : compact.format(n)));

export const total = known((all) => count(Object.values(all).reduce((a, b) => a + b)));

export const milliseconds = known((ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);

export const percent = known((share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

/** A picture's age; with ≥ where its time of capture is not known. */
export const age = ({ age_s, is_captured }) =>
  known((s) => `${is_captured ? '' : '≥ '}${s.toFixed(1)} s`)(age_s);

export const mebibytes = known((bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`);

export const clockTime = (iso) => new Date(iso).toLocaleTimeString('en-GB');
