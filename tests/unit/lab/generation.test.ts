import { describe, expect, it } from 'vitest';
import type { Remote } from 'comlink';
import type { EngineApi, EngineStep, Ending } from '../../../workers/contract';
import { LabError } from '../../../workers/errors';
import { LiveGeneration, type Opening } from '../../../src/lab/generation';
import { deferred } from '../../../src/lab/jobs';
import type { Text } from '../../../src/lab/text';

const PIECES = ['a', 'b', 'c', 'd'];
const choice = (id: number) => ({ id, probability: 0.5, top: [{ id, probability: 0.5 }] });

/** An engine that says `say`, one id a step, and writes down what it was asked, in order. */
function fake(say: number[]) {
  const calls: string[] = [];
  let at = 0;
  let stopped = false;
  const engine = {
    next: (id: string): Promise<EngineStep | { ended: Ending }> => {
      calls.push(`next ${id}`);
      const said = say[at];
      if (stopped) return Promise.resolve({ ended: 'cancelled' });
      if (said === undefined) return Promise.resolve({ ended: 'length' });
      return Promise.resolve({ position: 2 + at++, steered: choice(said), dials: [] });
    },
    dial: (id: string, edit: number, change: object) => Promise.resolve(void calls.push(`dial ${id} ${edit} ${JSON.stringify(change)}`)),
    reread: (id: string) => Promise.resolve(void calls.push(`reread ${id}`)),
    rewind: (id: string, position: number, tokens: number) => {
      at = position - 2;
      stopped = false;
      return Promise.resolve(void calls.push(`rewind ${id} ${position} ${tokens}`));
    },
    stop: (id: string) => ((stopped = true), Promise.resolve(void calls.push(`stop ${id}`))),
    close: (id: string) => Promise.resolve(void calls.push(`close ${id}`)),
  };
  const text = { continuation: (_: number[], ids: number[]) => Promise.resolve(ids.map((id) => PIECES[id]).join('')) };
  return { calls, engine: engine as unknown as Remote<EngineApi>, text: text as unknown as Text };
}
const opening: Opening = { id: 'g', prompt: [0, 0], promptLength: 2, baseline: false, pieces: PIECES };

describe('a generation', () => {
  it('asks for one step when one is asked of it, and never before', async () => {
    const { calls, engine, text } = fake([1, 2, 3]);
    const stream = new LiveGeneration(engine, text, [], Promise.resolve(opening));
    const iterator = stream[Symbol.asyncIterator]();
    await Promise.resolve();
    expect(calls).toEqual([]);
    const { value } = await iterator.next();
    expect(value).toMatchObject({ position: 2, steered: { id: 1, piece: 'b', top: [{ piece: 'b' }] } });
    expect(calls).toEqual(['next g']);
  });

  it('sends every call in the order in which it was made, also before it is set up', async () => {
    const { calls, engine, text } = fake([1, 2]);
    const setup = deferred<Opening>();
    const stream = new LiveGeneration(engine, text, [], setup.promise);
    stream.dial(0, { value: 2 });
    const first = stream[Symbol.asyncIterator]().next();
    stream.dial(0, { value: 3 });
    setup.resolve(opening);
    await first;
    stream.dial(1, { enabled: false });
    const second = stream[Symbol.asyncIterator]().next();
    expect(calls).toEqual(['dial g 0 {"value":2}', 'next g', 'dial g 0 {"value":3}', 'dial g 1 {"enabled":false}', 'next g']);
    await second;
  });

  it('ends, and says how', async () => {
    const { engine, text } = fake([1, 2]);
    const stream = new LiveGeneration(engine, text, [], Promise.resolve(opening));
    const said: string[] = [];
    for await (const step of stream) said.push(step.steered.piece);
    expect(said).toEqual(['b', 'c']);
    expect(await stream.ended).toBe('length');
    expect(await stream.text()).toEqual({ steered: 'bc' });
  });

  it('is stopped by leaving the loop', async () => {
    const { calls, engine, text } = fake([1, 2, 3]);
    const stream = new LiveGeneration(engine, text, [], Promise.resolve(opening));
    for await (const step of stream) if (step.steered.id === 1) break;
    expect(await stream.ended).toBe('cancelled');
    expect(calls).toEqual(['next g', 'stop g']);
  });

  it('ends with the step that completes a stop string, and can be continued past it', async () => {
    const { calls, engine, text } = fake([1, 2, 3, 1]);
    const stream = new LiveGeneration(engine, text, ['bc'], Promise.resolve(opening));
    const said: number[] = [];
    for await (const step of stream) said.push(step.steered.id);
    expect(said).toEqual([1, 2]);
    expect(await stream.ended).toBe('stop');
    await stream.rewind(4, 2);
    for await (const step of stream) said.push(step.steered.id);
    expect(said).toEqual([1, 2, 3, 1]);
    expect(await stream.ended).toBe('length');
    expect(calls).toContain('rewind g 4 2');
    expect(await stream.text()).toEqual({ steered: 'bcdb' });
  });

  it('goes back', async () => {
    const { engine, text } = fake([1, 2, 3]);
    const stream = new LiveGeneration(engine, text, [], Promise.resolve(opening));
    for await (const step of stream) expect(step).toBeDefined();
    await stream.rewind(3, 9);
    expect(await stream.text()).toEqual({ steered: 'b' });
    const { value } = await stream[Symbol.asyncIterator]().next();
    expect(value).toMatchObject({ position: 3, steered: { id: 2 } });
  });

  it('tells a failed setup to whoever waits, as a LabError', async () => {
    const { engine, text } = fake([]);
    const stream = new LiveGeneration(engine, text, [], Promise.reject(new LabError('prompt-empty', 'Nothing.', 'Type.')));
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'prompt-empty', hint: 'Type.' });
    await expect(stream.ended).rejects.toMatchObject({ code: 'prompt-empty' });
    expect(() => stream.dial(0, { value: 1 })).not.toThrow();
  });
});
