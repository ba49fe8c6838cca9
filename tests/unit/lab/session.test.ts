import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FIRST_PROMPT, FIRST_SAMPLING, readSession, writeSession, type Session } from '../../../src/lab/session';

const choice = {
  id: 3,
  piece: ' a',
  probability: 0.25,
  top: Array.from({ length: 8 }, (_, id) => ({ id, piece: `${id}`, probability: 0.1 })),
};
const session: Session = {
  model: 'model-1',
  using: { weights: 'f32', fold: true, center: false },
  prompt: 'Once “upon”\na time',
  chat: {
    on: true,
    turns: [
      { role: 'system', content: '' },
      { role: 'narrator', content: ' “Who”\n?' },
    ],
  },
  instrument: 'features',
  features: { dictionary: 'dict', latent: 12, beside: 'wide', live: false },
  dials: [
    {
      id: 'l',
      name: 'latent 12',
      kind: 'latent',
      vector: '',
      latent: { dictionary: 'dict', latent: 12, op: 'add' },
      at: 'blocks.1.hook_resid_post',
      value: 4,
      strength: 1,
      enabled: true,
      scope: 'all',
      positions: [],
      skipSpecial: true,
      reach: 8,
    },
    {
      id: 'd',
      name: 'cheer',
      kind: 'cap',
      vector: 'v',
      at: 'blocks.1.hook_resid_post',
      value: -2,
      strength: 0.5,
      enabled: false,
      scope: 'positions',
      positions: [3],
      skipSpecial: true,
      reach: 8,
    },
  ],
  master: 0.75,
  compare: false,
  sampling: { ...FIRST_SAMPLING, topK: 5, shadow: true },
  origin: [1, 2, 3],
  steps: [
    {
      position: 3,
      steered: choice,
      baseline: choice,
      kl: 0.1,
      dials: [{ value: -2, strength: 0 }, { strength: 1 }],
      reread: true,
      chosen: true,
      latents: { dictionary: 'dict', top: [[12, 1.5]] },
    },
  ],
  tour: { stop: 'bent', step: 1, done: ['forming'], open: true, declined: false, from: 4, rested: ['a'], patch: { contrast: 'x' } },
  tried: ['lens'],
  asides: [
    {
      model: 'model-2',
      using: { weights: 'f32' },
      prompt: 'mine',
      chat: { on: false, turns: [] },
      instrument: 'generate',
      origin: [4],
      steps: [],
      dials: [],
      compare: false,
    },
  ],
};

describe('the session', () => {
  it('comes back as it was, but for the long tails of candidates', () => {
    const clipped = { ...choice, top: choice.top.slice(0, 5) };
    const [step] = session.steps;
    expect(readSession(writeSession(session))).toEqual({ ...session, steps: [{ ...step, steered: clipped, baseline: clipped }] });
  });

  it('starts where there is none', () => {
    expect(readSession(null)).toMatchObject({
      prompt: FIRST_PROMPT,
      chat: { on: false, turns: [] },
      instrument: 'generate',
      dials: [],
      compare: true,
      steps: [],
    });
    expect(readSession(null).model).toBeUndefined();
  });

  it('takes what it can of a broken one', () => {
    const broken = JSON.stringify({
      prompt: 7,
      chat: { on: 'yes', turns: [{ role: 3, content: 'a' }, 'x', { role: 'system' }] },
      dials: [{ id: 'x' }, null, { id: 'y', vector: 'v', at: 'hook_embed', kind: 'melt' }],
      sampling: { topP: 9, tokens: -4 },
      steps: [{ position: 'x' }, 4],
      origin: [1, 'b'],
    });
    const read = readSession(broken);
    expect(read.prompt).toBe(FIRST_PROMPT);
    expect(read.dials).toMatchObject([{ id: 'y', kind: 'add', strength: 1, enabled: true, scope: 'all' }]);
    expect(read.sampling).toMatchObject({ topP: 1, tokens: 1 });
    expect(read.chat).toEqual({
      on: false,
      turns: [
        { role: 'user', content: 'a' },
        { role: 'system', content: '' },
      ],
    });
    expect(read.steps).toEqual([]);
    expect(read.origin).toEqual([1]);
  });

  it('says how the model ran, also where an older version kept the weights’ type alone', () => {
    const using = (saved: unknown) => readSession(JSON.stringify(saved)).using;
    expect(using({})).toEqual({ weights: 'stored' });
    expect(using({ weights: 'f16' })).toEqual({ weights: 'f16' });
    expect(using({ using: { weights: 'f32', fold: true, foldValueBiases: false, center: 'yes', other: true } })).toEqual({
      weights: 'f32',
      fold: true,
      foldValueBiases: false,
    });
    expect(using({ using: { weights: 'f16', fold: true } })).toEqual({ weights: 'f16' });
  });

  it('reads a session of before there were dictionaries, and drops a latent that is none', () => {
    expect(readSession(JSON.stringify({ instrument: 'lens' }))).toMatchObject({ instrument: 'lens', features: { live: true } });
    const dial = { id: 'l', vector: '', at: 'blocks.0.hook_resid_post', kind: 'latent' };
    const dials = [
      dial,
      { ...dial, latent: { dictionary: 'd', latent: -1 } },
      { ...dial, latent: { dictionary: 'd', latent: 3, op: 'melt' } },
    ];
    expect(readSession(JSON.stringify({ dials })).dials).toMatchObject([
      { kind: 'latent', latent: { dictionary: 'd', latent: 3, op: 'set' } },
    ]);
    expect(readSession(JSON.stringify({ features: { dictionary: 3, latent: 1.5 } })).features).toEqual({ live: true });
  });

  it('never fails, whatever was stored', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (stored) => readSession(stored).sampling.tokens >= 1));
  });
});
