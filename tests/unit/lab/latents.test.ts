import { describe, expect, it } from 'vitest';
import type { SparseRows } from '../../../workers/api';
import { activeAt, along, attachesTo, peak, startOf, strongest, tokensOf } from '../../../src/lab/latents';

/** A BOS with one huge activation, then three tokens. */
const rows: SparseRows['rows'] = [
  [[9, 90]],
  [
    [1, 2],
    [3, 1],
  ],
  [
    [1, 4],
    [2, 4],
  ],
  [],
];
const bos = new Set([0]);

it('of either sign rank by magnitude, and keep their sign', () => {
  const signed: SparseRows['rows'] = [
    [],
    [
      [4, -6],
      [2, 3],
    ],
    [[4, 5]],
  ].map((row) => row as [number, number][]);
  expect(activeAt(signed, 1, tokensOf(signed), 'value').map(({ latent }) => latent)).toEqual([4, 2]);
  expect(strongest(signed, new Set(), 2)).toEqual([
    { latent: 4, peak: -6 },
    { latent: 2, peak: 3 },
  ]);
  expect(startOf(signed, 4, new Set())).toBe(-24);
});

describe('latents of a prompt', () => {
  it('stand by value, or the rarest first', () => {
    const tokens = tokensOf(rows);
    expect([...tokens]).toEqual([
      [9, 1],
      [1, 2],
      [3, 1],
      [2, 1],
    ]);
    expect(activeAt(rows, 1, tokens, 'value').map(({ latent }) => latent)).toEqual([1, 3]);
    expect(activeAt(rows, 1, tokens, 'rarity').map(({ latent }) => latent)).toEqual([3, 1]);
    expect(activeAt(rows, 2, tokens, 'rarity')).toEqual([
      { latent: 2, value: 4, tokens: 1 },
      { latent: 1, value: 4, tokens: 2 },
    ]);
    expect(activeAt(rows, 7, tokens, 'value')).toEqual([]);
  });

  it('rare is what a survey has counted, where it has counted all of them', () => {
    const [one] = [[[1, 2] as [number, number], [3, 1] as [number, number]]];
    const known = (of: Record<number, number>) => ({ label: () => undefined, density: (latent: number) => of[latent] });
    const order = (of: Record<number, number>) => activeAt([one], 0, tokensOf([one]), 'rarity', known(of)).map(({ latent }) => latent);
    expect(order({ 1: 0.2, 3: 0.01 })).toEqual([3, 1]);
    expect(order({ 1: 0.01, 3: 0.2 })).toEqual([1, 3]);
    expect(order({ 3: 0.2 }), 'else by this prompt, then by value').toEqual([1, 3]);
  });

  it('by label: those that have one first, by the alphabet, the rest by value', () => {
    const row: [number, number][] = [
      [1, 9],
      [2, 1],
      [3, 2],
      [4, 10],
      [5, 3],
    ];
    const text: Record<number, string> = { 2: 'Élan', 3: 'layer 10', 5: 'layer 9' };
    const known = { label: (latent: number) => text[latent], density: () => undefined };
    expect(activeAt([row], 0, tokensOf([row]), 'label', known).map(({ latent }) => latent)).toEqual([2, 5, 3, 4, 1]);
  });

  it('are ranked without special tokens, unless there are no others', () => {
    expect(strongest(rows, bos, 2)).toEqual([
      { latent: 1, peak: 4 },
      { latent: 2, peak: 4 },
    ]);
    expect(strongest(rows.slice(0, 1), bos, 2)).toEqual([{ latent: 9, peak: 90 }]);
    expect(along(rows, 1)).toEqual([0, 2, 4, 0]);
    expect(peak([90, 2, 4], bos)).toBe(4);
    expect(peak([90, 0, 0], bos)).toBe(90);
  });

  it('start a dial at four times their peak, or at the strongest’s where they rest', () => {
    expect(startOf(rows, 3, bos)).toBe(4);
    expect(startOf(rows, 77, bos)).toBe(16);
    expect(startOf([[]], 0, new Set())).toBe(1);
  });
});

it('where a dictionary attaches, in words', () => {
  const at = (hookIn: string, hookOut = hookIn) => attachesTo({ hookIn: [hookIn], hookOut });
  expect(at('blocks.4.hook_resid_pre')).toBe('layer 4 · before the layer');
  expect(at('blocks.4.attn.hook_z')).toBe('layer 4 · heads');
  expect(at('blocks.4.ln2.hook_normalized', 'blocks.4.hook_mlp_out')).toBe('layer 4 · MLP in to MLP out');
  expect(at('hook_embed')).toBe('hook_embed');
});
