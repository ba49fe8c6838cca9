/** A part of a worker that comes when it is first asked for: what is not needed to start is not fetched to start. Where it could not be had, it is asked for again. */
export function later<T>(bring: () => Promise<T>): () => Promise<T> {
  let coming: Promise<T> | undefined;
  return () =>
    (coming ??= bring().catch((thrown: unknown) => {
      coming = undefined;
      throw thrown;
    }));
}
