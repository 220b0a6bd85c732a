// Copies a text, and says on the button whether that worked.
import { make } from './dom.js';

const COPIED_MS = 2500;

export function copyButton(text, what) {
  const button = make('button', 'Copy', 'copy');
  button.type = 'button';
  button.setAttribute('aria-label', `Copy ${what}`);
  const said = make('span', '', 'unseen');
  said.setAttribute('role', 'status');
  let timer;
  button.addEventListener('click', async () => {
    const done = await copy(text());
    button.firstChild.data = done ? 'Copied' : 'Not copied';
    said.textContent = done ? 'Copied.' : 'Not copied: select the text and press Ctrl+C.';
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.firstChild.data = 'Copy';
      said.textContent = '';
    }, COPIED_MS);
  });
  const both = make('span', null, 'copying');
  both.append(button, said);
  return both;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not allowed, or no secure context: the older way, which needs a selection.
    const focused = document.activeElement;
    const area = make('textarea', text, 'unseen');
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}
