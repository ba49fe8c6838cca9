/** Patch's choices over a reload, apart from the session: they are the instrument's, which comes when it is first opened. */

const KEY = 'loupe.patch.1';

export function readJson(): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export function keep(choices: Record<string, unknown>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(choices));
  } catch {
    // Not kept; nothing that is on the screen is lost.
  }
}
