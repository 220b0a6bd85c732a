// What keys do, and the window that lists them.

const TEXT = 'input[type="search"], input[type="text"], textarea, select';

/** actions: by key. Each gives false where it has nothing to do here. */
export function listen(actions, dialog) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.defaultPrevented || dialog.open) return;
    const { key, target } = event;
    // In a field, keys write; in what has values, arrows choose one. Escape leaves.
    if (key !== 'Escape' && target.matches(TEXT)) return;
    if (key.startsWith('Arrow') && target.matches('input')) return;
    const action = actions[key.length === 1 ? key.toLowerCase() : key];
    if (action && action() !== false) event.preventDefault();
  });
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });
}
