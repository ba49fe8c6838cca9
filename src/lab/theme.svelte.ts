/** Light, dark, or as the system says. The choice is kept; "system" leaves no mark, so that the style sheet decides. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'loupe.theme';

export class ThemeStore {
  chosen = $state<Theme>('system');
  #systemDark = $state(false);

  constructor() {
    const query = matchMedia('(prefers-color-scheme: dark)');
    this.#systemDark = query.matches;
    query.addEventListener('change', () => (this.#systemDark = query.matches));
    try {
      const kept = localStorage.getItem(KEY);
      if (kept === 'light' || kept === 'dark') this.chosen = kept;
    } catch {
      // Storage refused: the system's theme it is.
    }
    this.#apply();
  }

  get dark(): boolean {
    return this.chosen === 'system' ? this.#systemDark : this.chosen === 'dark';
  }

  toggle(): void {
    const wanted: Theme = this.dark ? 'light' : 'dark';
    this.chosen = (wanted === 'dark') === this.#systemDark ? 'system' : wanted;
    try {
      localStorage.setItem(KEY, this.chosen);
    } catch {
      // Not kept.
    }
    this.#apply();
  }

  #apply(): void {
    const { dataset } = document.documentElement;
    if (this.chosen === 'system') delete dataset['theme'];
    else dataset['theme'] = this.chosen;
  }
}
