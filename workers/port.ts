/**
 * Errors across message ports. Comlink carries an Error's message and stack but not its class or fields; this carries a LabError
 * whole, causes included, and makes it a LabError again on the other side. Whatever else is thrown is wrapped, so that nothing raw
 * crosses. Import it, for its effect, on both sides of every port.
 */
import { transferHandlers } from 'comlink';
import { asLabError, LabError } from './errors';

/** A LabError as structured clone can carry it. */
export interface WiredError {
  code: string;
  message: string;
  hint: string;
  stack: string | undefined;
  causes: WiredError[];
}

export function toWire(thrown: unknown): WiredError {
  const { code, message, hint, causes } = asLabError(thrown);
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  return { code, message, hint, stack, causes: causes.map(toWire) };
}

export function fromWire({ code, message, hint, stack, causes }: WiredError): LabError {
  const error = new LabError(code, message, hint, causes.map(fromWire));
  if (stack !== undefined) error.stack = stack;
  return error;
}

const comlinks = transferHandlers.get('throw');
if (!comlinks) throw new Error('This Comlink has no handler for what is thrown.');

/** Only Comlink can tell what was thrown from what was returned: its mark is private, so its own test is kept. */
const canHandle = (value: unknown): value is { value: unknown } => comlinks.canHandle(value);

transferHandlers.set('throw', {
  canHandle,
  serialize: (thrown: { value: unknown }): [WiredError, Transferable[]] => [toWire(thrown.value), []],
  deserialize: (wired: WiredError): never => {
    throw fromWire(wired);
  },
});
