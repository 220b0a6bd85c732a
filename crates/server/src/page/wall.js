// Pictures as they come: the wall with the small ones of all cameras, and one camera's large ones.
import { streamPath, wallPath } from './api.js';
import { Multipart } from './multipart.js';
import { Stream } from './stream.js';

/** A stream of picture parts: onPart({camera, frame, type, bytes}). camera and frame are null where the part does not say. */
function pictures(path, { onPart, onUp, onDown }) {
  return new Stream({
    path,
    onUp,
    onDown,
    reader() {
      const multipart = new Multipart(({ headers, bytes }) => onPart({
        camera: headers.get('x-camera') ?? null,
        frame: headers.get('x-frame') ?? null,
        type: headers.get('content-type') ?? 'image/jpeg',
        bytes,
      }));
      return (chunk) => multipart.push(chunk);
    },
  });
}

/** All cameras in one answer, since a browser opens only six connections to a host. */
export const wall = (callbacks) => pictures(wallPath, callbacks);

export const large = (id, view, callbacks) => pictures(streamPath(id, view), callbacks);
