/** What was found when contracts were checked: once for each dictionary, contract and model, for as long as the page is open. */
import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import type { ContractCheck, DictionaryInfo, Lab } from '../../../workers/api';
import { labError } from '../../lab/jobs';

interface Found {
  check?: ContractCheck;
  /** It could not be checked, and why. */
  failed?: string;
}

class Checks {
  readonly #found = new SvelteMap<string, Found>();
  /** Warnings that a person has read and overruled. */
  readonly #kept = new SvelteSet<string>();

  of(key: string): Found | undefined {
    return this.#found.get(key);
  }
  keep(key: string): void {
    this.#kept.add(key);
  }
  isKept(key: string): boolean {
    return this.#kept.has(key);
  }

  /** Calling it off leaves it to be done another time. */
  async run(lab: Lab, key: string, { id }: DictionaryInfo, signal: AbortSignal): Promise<void> {
    if (this.#found.has(key) || signal.aborted) return;
    try {
      this.#found.set(key, { check: await lab.checkContract({ dictionary: id }, { signal }) });
    } catch (thrown) {
      const { code, message } = labError(thrown);
      if (code !== 'cancelled' && !signal.aborted) this.#found.set(key, { failed: message });
    }
  }
}

export const checks = new Checks();
