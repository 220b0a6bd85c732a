// The numbers and states of all cameras, once a second, as server-sent events.
import { eventsPath } from './api.js';
import { Stream } from './stream.js';

/** The server sends every second; without a byte for so long it is gone. */
const SILENCE_MS = 3000;

/** onCameras({server, cameras}). */
export function events({ onCameras, onUp, onDown }) {
  return new Stream({
    path: eventsPath,
    silence_ms: SILENCE_MS,
    onUp,
    onDown,
    reader() {
      const decoder = new TextDecoder();
      let text = '';
      return (chunk) => {
        text += decoder.decode(chunk, { stream: true });
        const blocks = text.split(/\r?\n\r?\n/);
        text = blocks.pop();
        for (const block of blocks) {
          const data = dataOf(block);
          if (data) onCameras(JSON.parse(data));
        }
      };
    },
  });
}

function dataOf(block) {
  let event = 'message';
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith('event:')) event = line.slice(6).trim();
    if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
  }
  return event === 'cameras' ? data.join('\n') : '';
}
