// The requests that are answered once. An error carries the words of the server's problem details.

/** What the server refused, in its own words. */
export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The Problem in an answer that is not ok. Without a valid token there is only the sign-in page: goes there. */
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

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, 'mattebox cannot be reached');
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

const pathOf = (id) => `/api/cameras/${encodeURIComponent(id)}`;

/** A camera with its history and errors. */
export const camera = async (id) => (await request(pathOf(id))).json();

/** Changes settings; gives all of them as they are now. */
export const change = async (id, settings) => (await request(`${pathOf(id)}/settings`, {
  method: 'PATCH',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(settings),
})).json();

/** Sends a picture file as background; gives all settings as they are now. */
export const upload = async (id, file) => (await request(`${pathOf(id)}/background`, {
  method: 'POST',
  headers: { 'content-type': file.type || 'application/octet-stream' },
  body: file,
})).json();

/** The newest composed picture as a PNG blob. */
export const snapshot = async (path) => (await request(path)).blob();

export const wallPath = '/api/wall.mjpg';
export const eventsPath = '/api/events';
export const streamPath = (id, view) => `${pathOf(id)}/stream.mjpg?view=${view}`;
