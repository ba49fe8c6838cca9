/** Where the keyboard goes when what had the focus leaves the page by being used. */
import { tick } from 'svelte';

/** After the page has changed, if nothing else took the focus: the first of these that is there. */
export async function focusNext(...selectors: readonly string[]): Promise<void> {
  await tick();
  if (document.activeElement && document.activeElement !== document.body) return;
  for (const selector of selectors) {
    const found = document.querySelector<HTMLElement>(selector);
    found?.focus();
    if (found && document.activeElement === found) return;
  }
}
