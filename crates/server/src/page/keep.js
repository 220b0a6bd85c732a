// The settings of a camera as lines of a settings file, and how they come to all cameras.
import * as api from './api.js';

/** Where to write which lines, so that they hold at the next start: {where, text}. */
export function lines(id, settings, command) {
  const background = settings.background
    .replace(/^picture:\d+x\d+-.*/, 'image:PATH/OF/THE/PICTURE').replace(/^picture:/, 'image:');
  const said = { ...settings, background };
  if (command === 'worker') {
    const text = `[${JSON.stringify(id)}]\nbackground = ${JSON.stringify(background)}`;
    return { where: 'In the file of --camera-settings:', text };
  }
  return {
    where: 'In mattebox.toml, for all cameras of the next start:',
    text: Object.entries(said)
      .map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join('\n'),
  };
}

/** Sends the settings to other cameras, and file if the background is one. Returns failures. */
export async function applyToAll(ids, settings, file, command) {
  const change = command === 'worker' ? { background: settings.background } : { ...settings };
  const is_picture = change.background.startsWith('picture:');
  const is_file = is_picture || change.background.startsWith('video:');
  const failed = [];
  if (is_file) delete change.background;
  if (is_file && !(is_picture && file)) {
    return ['upload the background here again, then try once more'];
  }
  for (const id of ids) {
    try {
      if (Object.keys(change).length > 0) await api.change(id, change);
      if (is_picture && file) await api.upload(id, file);
    } catch (error) {
      failed.push(`${id}: ${error.message}`);
      if (error.status === 0) break;
    }
  }
  return failed;
}
