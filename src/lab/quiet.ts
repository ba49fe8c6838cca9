/**
 * The page reads on its own account: how likely the prompt is, how large a dial is. A script that measures must not have that
 * in its counters, so the page's own reading waits until scripts have been still for a moment.
 */
import type { Lab } from '../../workers/api';

const STILL = 800;

export class Quiet {
  #last = Number.NEGATIVE_INFINITY;
  #running = 0;

  touch(): void {
    this.#last = performance.now();
  }

  /** Notes a call from its start until it settles. */
  during(result: unknown): unknown {
    this.touch();
    if (result instanceof Promise) {
      this.#running++;
      const done = () => {
        this.#running--;
        this.touch();
      };
      result.then(done, done);
    }
    return result;
  }

  async wait(): Promise<void> {
    for (;;) {
      const left = this.#running > 0 ? STILL : this.#last + STILL - performance.now();
      if (left <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, left));
    }
  }
}

/** The lab as scripts get it: the same calls, noted. */
export function noted(lab: Lab, quiet: Quiet): Lab {
  return new Proxy(lab, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (...given: unknown[]) => quiet.during(Reflect.apply(value, target, given)) : value;
    },
  });
}
