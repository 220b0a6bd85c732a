// Requests that are answered once. An error carries the words of the server's problem details.

/** What the server refused, in its own words. */
export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The Problem in an answer that is not ok. Without a valid token it goes to the sign-in page. */
export async function problemOf(answer) {
  if (answer.status === 401) location.reload();
  let text = `mattebox answered ${answer.status}`;
  try {
    const body = await answer.json();
    text = body.detail || body.title || text;
  } catch {
    // No problem details: a proxy in between may have answered.
  }
  return new Problem(answer.status, text);
}

/** How long to wait for an answer, and for one that takes long to send or to make. */
const LIMIT_MS = 8000;
const LONG_LIMIT_MS = 60_000;

/** take(answer): reads it; that has to be done in time too. */
async function request(path, take, options, limit_ms = LIMIT_MS) {
  try {
    const signal = AbortSignal.timeout(limit_ms);
    const answer = await fetch(path, { cache: 'no-store', signal, ...options });
    if (!answer.ok) throw await problemOf(answer);
    return await take(answer);
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (error.name !== 'TimeoutError') throw new Problem(0, 'mattebox cannot be reached');
    const waited_s = limit_ms / 1000;
    throw new Problem(0, `no answer for ${waited_s} s: if many windows show mattebox, close some`);
  }
}

const json = (answer) => answer.json();

const pathOf = (id) => `/api/cameras/${encodeURIComponent(id)}`;

/** A camera with its history and errors. */
export const camera = (id) => request(pathOf(id), json);

/** Changes settings; gives all of them as they are now. */
export const change = (id, settings) => request(`${pathOf(id)}/settings`, json, {
  method: 'PATCH',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(settings),
});

/** Sends a picture file as background; gives all settings as they are now. */
export const upload = (id, file) => request(`${pathOf(id)}/background`, json, {
  method: 'POST',
  headers: { 'content-type': file.type || 'application/octet-stream' },
  body: file,
}, LONG_LIMIT_MS);

/** The newest composed picture as a PNG blob. */
export const snapshot = (id) =>
  request(`${pathOf(id)}/frame.png`, (answer) => answer.blob(), {}, LONG_LIMIT_MS);

/** tiles: small pictures of all cameras; camera, view: the large picture of one. */
export function livePath({ tiles, camera, view }) {
  const query = new URLSearchParams();
  if (!tiles) query.set('tiles', 'false');
  if (camera != null) query.set('camera', camera);
  if (camera != null && view) query.set('view', view);
  return `/api/live?${query}`;
}
