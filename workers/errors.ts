/**
 * The one error a person may see. Every failure that leaves a worker is a LabError: a sentence that says what happened,
 * a hint that says what to do, and a stable code that docs/errors.md explains. Raw GPU, parser and storage errors are
 * wrapped at the place that knows what they mean.
 */
export class LabError extends Error {
  override readonly name = 'LabError';
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly causes: readonly LabError[] = [],
  ) {
    super(message);
  }
}

/** Wraps whatever was thrown, so that nothing raw crosses a port. An AbortError becomes `cancelled`. */
export function asLabError(
  thrown: unknown,
  code = 'internal',
  hint = 'This is a fault in Loupe. Please report it with the text above.',
): LabError {
  if (thrown instanceof LabError) return thrown;
  if (thrown instanceof DOMException && thrown.name === 'AbortError') return cancelled();
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new LabError(code, message, hint);
}

export const cancelled = (): LabError => new LabError('cancelled', 'Cancelled.', 'Nothing was changed.');

/** Throws `cancelled` where the signal has fired: called between pieces of long work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled();
}
