import { expose, proxy, wrap, type Remote } from 'comlink';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { LabError } from '../../../workers/errors';
import '../../../workers/port';

interface Thrower {
  lab(): void;
  plain(): void;
  abort(): void;
  word(): void;
  callback(call: () => Promise<void>): Promise<void>;
  fine(): number;
}

const thrower = {
  lab: () => {
    throw new LabError('model-invalid', 'The model cannot be read.', 'Drop the whole folder.', [
      new LabError('tensor-missing', 'No wte.weight.', 'Is a shard missing?', [new LabError('deep', 'Deeper.', 'Still.')]),
    ]);
  },
  plain: () => {
    throw new TypeError('x is not a function');
  },
  abort: () => {
    throw new DOMException('stopped', 'AbortError');
  },
  word: () => {
    // Somebody else's code may throw anything.

    throw 'a word' as unknown;
  },
  callback: (call: () => Promise<void>) => call(),
  fine: () => 7,
};

/** Node's ports stand in for the browser's: Comlink asks nothing of them that they do not have. */
describe('errors across a port', () => {
  const open: MessageChannel[] = [];
  const connect = (): Remote<Thrower> => {
    const channel = new MessageChannel();
    open.push(channel);
    expose(thrower, channel.port1 as unknown as MessagePort);
    return wrap<Thrower>(channel.port2 as unknown as MessagePort);
  };
  afterEach(() => {
    for (const { port1 } of open.splice(0)) port1.close();
  });
  const thrownBy = async (call: Promise<unknown>): Promise<LabError> => {
    const thrown: unknown = await call.then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(thrown instanceof LabError)) throw new Error(`not a LabError: ${String(thrown)}`);
    return thrown;
  };

  it('carries a LabError whole, causes included', async () => {
    const error = await thrownBy(connect().lab());
    expect(error).toMatchObject({
      name: 'LabError',
      code: 'model-invalid',
      message: 'The model cannot be read.',
      hint: 'Drop the whole folder.',
    });
    const [cause] = error.causes;
    expect(cause).toBeInstanceOf(LabError);
    expect(cause).toMatchObject({ code: 'tensor-missing', hint: 'Is a shard missing?' });
    expect(cause?.causes[0]).toBeInstanceOf(LabError);
    expect(cause?.causes[0]).toMatchObject({ code: 'deep', message: 'Deeper.' });
    expect(error.stack).toContain('port.test');
  });

  it('wraps whatever else is thrown', async () => {
    expect(await thrownBy(connect().plain())).toMatchObject({ code: 'internal', message: 'x is not a function' });
    expect(await thrownBy(connect().word())).toMatchObject({ code: 'internal', message: 'a word' });
    expect(await thrownBy(connect().abort())).toMatchObject({ code: 'cancelled' });
  });

  it('carries what a callback throws, there and back', async () => {
    const call = proxy(() => Promise.reject(new LabError('cancelled', 'Cancelled.', 'Nothing was changed.')));
    expect(await thrownBy(connect().callback(call))).toMatchObject({ code: 'cancelled', hint: 'Nothing was changed.' });
  });

  it('leaves what is returned alone', async () => {
    expect(await connect().fine()).toBe(7);
  });
});
