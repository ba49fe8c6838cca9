/**
 * A model that is on its way. What is asked after lab.use() is about that model, even where nobody waited for it: else a text would be
 * read by the old model's tokeniser and computed by the new one.
 */
export class Coming {
  #use: Promise<unknown> | undefined;

  /** Notes a use() until it settles, one way or the other. */
  until<T>(use: Promise<T>): Promise<T> {
    this.#use = use;
    const done = (): void => {
      if (this.#use === use) this.#use = undefined;
    };
    use.then(done, done);
    return use;
  }

  /** When the last use() asked for has settled. */
  async settled(): Promise<void> {
    while (this.#use) await this.#use.catch(() => undefined);
  }

  /** A call that waits for it; at once where no model is coming. */
  after<A extends unknown[], R>(call: (...given: A) => Promise<R>): (...given: A) => Promise<R> {
    return (...given) => (this.#use ? this.settled().then(() => call(...given)) : call(...given));
  }
}
