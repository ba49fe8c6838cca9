/** The stream and the latents that come with it: what is asked for, what is kept of them. */
import { expect, it } from 'vitest';
import type { GenerateRequest, Lab, Step } from '../../../workers/api';
import { Dials } from '../../../src/lab/dials.svelte';
import type { PromptStore } from '../../../src/lab/prompt.svelte';
import { Stream } from '../../../src/lab/stream.svelte';
import { Toasts } from '../../../src/lab/toasts.svelte';

const choice = { id: 1, piece: ' a', probability: 1, top: [] };

function made(watched: () => string | undefined) {
  const asked: GenerateRequest[] = [];
  const lab = {
    generate: (request: GenerateRequest) => {
      asked.push(request);
      const latents = request.watch?.length ? { latents: { d: [9, 7, 5, 3].map((n): [number, number] => [n, n]) }, truncated: ['d'] } : {};
      return {
        ended: Promise.resolve('length'),
        stop: () => Promise.resolve(),
        rewind: () => Promise.resolve(),
        async *[Symbol.asyncIterator]() {
          yield await Promise.resolve<Step>({ position: 2, steered: choice, dials: [], ...latents });
        },
      };
    },
  } as unknown as Lab;
  const stream = new Stream(lab, { ids: [0, 4] } as unknown as PromptStore, new Dials(lab), new Toasts(), watched);
  return { asked, stream };
}

it('watches the chosen dictionary, and keeps the strongest three of a token', async () => {
  const { asked, stream } = made(() => 'd');
  await stream.generate();
  expect(asked[0]?.watch).toEqual(['d']);
  const latents = { dictionary: 'd', top: [9, 7, 5].map((n) => [n, n]) };
  expect(stream.steps).toEqual([{ position: 2, steered: choice, dials: [], latents }]);
});

it('without one asks for none; one that is chosen later comes with the next stretch', async () => {
  const now: { chosen?: string } = {};
  const { asked, stream } = made(() => now.chosen);
  await stream.generate();
  expect(asked[0]).not.toHaveProperty('watch');
  expect(stream.steps[0]).not.toHaveProperty('latents');
  await stream.continue();
  expect(asked, 'the same stream goes on').toHaveLength(1);
  now.chosen = 'd';
  await stream.continue();
  expect(asked).toHaveLength(2);
  expect(asked[1]).toMatchObject({ prompt: [0, 4, 1, 1], promptLength: 2, watch: ['d'] });
});
