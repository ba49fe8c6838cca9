import { describe, expect, it } from 'vitest';
import type { Edit, GenerateRequest, Step } from '../../../workers/api';
import type { Dial } from '../../../src/lab/dial';
import { FIRST_SAMPLING } from '../../../src/lab/session';
import { spans, toScript, type OnScreen } from '../../../src/lab/script';

const dial: Dial = {
  id: 'd',
  name: 'cheerful\n− gloomy',
  kind: 'add',
  vector: 'vec,"1":x',
  at: 'blocks.3.hook_resid_post',
  value: 1.5,
  strength: 0.5,
  enabled: true,
  scope: 'generated',
  positions: [],
  skipSpecial: true,
};
const screen: OnScreen = {
  model: 'model-1',
  using: { weights: 'stored' },
  prompt: 'A "quoted" prompt\nwith a break',
  dials: [dial],
  master: 2,
  compare: true,
  sampling: { ...FIRST_SAMPLING, topK: 40 },
  instrument: 'generate',
  lens: { top: 8 },
  schedule: [],
};

/** Runs the script against a lab that writes down what it was asked. */
async function asked(script: string): Promise<{ used: unknown[]; request: GenerateRequest | undefined; lens: unknown; dials: unknown[] }> {
  const seen: { used: unknown[]; request: GenerateRequest | undefined; lens: unknown; dials: unknown[] } = {
    used: [],
    request: undefined,
    lens: undefined,
    dials: [],
  };
  const lab = {
    ready: Promise.resolve(),
    chat: (messages: unknown) => Promise.resolve({ ids: messages }),
    use: (...all: unknown[]) => Promise.resolve(seen.used.push(...all)),
    lens: (request: unknown) => Promise.resolve(((seen.lens = request), { top: [[[{ piece: 'a' }]]] })),
    generate: (request: GenerateRequest) => {
      seen.request = request;
      return {
        dial: (edit: number, change: unknown) => seen.dials.push([edit, change]),
        text: () => Promise.resolve({ steered: '' }),
        async *[Symbol.asyncIterator]() {
          for (let i = 0; i < 3; i++) yield await Promise.resolve({} as Step);
        },
      };
    },
  };
  const quiet = { log: () => undefined, table: () => undefined };
  const run = new Function('lab', 'console', `return (async () => {${script}})()`) as (lab: unknown, console: unknown) => Promise<void>;
  await run(lab, quiet);
  return seen;
}

describe('copy as script', () => {
  it('asks for exactly what the page asked for', async () => {
    const { used, request } = await asked(toScript(screen));
    expect(used).toEqual(['model-1', { weights: 'stored' }]);
    const edit: Edit = {
      kind: 'add',
      vector: 'vec,"1":x',
      scale: 1.5,
      at: 'blocks.3.hook_resid_post',
      where: 'generated',
      skipSpecial: true,
      strength: 1,
      enabled: true,
    };
    expect(request).toEqual({
      prompt: screen.prompt,
      edits: [edit],
      tokens: 64,
      temperature: 0.8,
      topK: 40,
      topP: 0.95,
      seed: 7,
      baseline: true,
    });
  });

  it('reads a conversation with the model’s own template', async () => {
    const messages = [
      { role: 'system', content: 'You “keep”\n`the` ${lamp}' },
      { role: 'user', content: '' },
    ];
    const { request } = await asked(toScript({ ...screen, prompt: messages }));
    expect(request?.prompt).toEqual(messages);
  });

  it('turns the dials again where they were turned', async () => {
    const steps = [1, 1, 2].map((value) => ({ dials: [{ value, strength: 1 }] }));
    expect(spans(steps)).toEqual([
      { token: 0, dials: [{ value: 1, strength: 1 }] },
      { token: 2, dials: [{ value: 2, strength: 1 }] },
    ]);
    const { dials } = await asked(toScript({ ...screen, schedule: spans(steps) }));
    expect(dials).toEqual([[0, { value: 2, strength: 1 }]]);
  });

  it('asks a dictionary as Features does, with a dial of its latent', () => {
    const latent: Dial = {
      ...dial,
      name: 'latent 7',
      kind: 'latent',
      vector: '',
      latent: { dictionary: 'd"1', latent: 7, op: 'set' },
      value: 4,
    };
    const script = toScript({ ...screen, dials: [latent], instrument: 'features', features: { dictionary: 'd"1', latent: 7 } });
    expect(script).toContain(`{ kind: "latent", dictionary: "d\\"1", latent: 7, op: "set", value: 4, at: "blocks.3.hook_resid_post"`);
    expect(script).toContain('await lab.encode({ dictionary, prompt, edits })');
    expect(script).toContain('await lab.latent({ dictionary, latent: 7 })');
  });

  it('reads the lens as it is shown', async () => {
    const { lens } = await asked(toScript({ ...screen, dials: [], instrument: 'lens', lens: { top: 8, track: 12 } }));
    expect(lens).toEqual({ prompt: screen.prompt, kind: 'logit', top: 8, track: 12, edits: [] });
  });
});
