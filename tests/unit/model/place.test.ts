/** Where tensors go: every row of every matrix is filled by exactly one tensor, in the order that the kernels read. */
import { describe, expect, test } from 'vitest';
import { gpt2 } from '../../../workers/model/families/gpt2';
import { llama } from '../../../workers/model/families/llama';
import type { Family } from '../../../workers/model/family';
import { weightTable } from '../../../workers/model/matrices';
import { placementOf, rowOf, type RowMap } from '../../../workers/model/place';

const PLAIN: RowMap = { kind: 'plain', phase: 0, head: 1, rot: 0 };
const order = (map: RowMap, n: number): number[] => Array.from({ length: n }, (_, o) => rowOf(map, o));

describe('rowOf', () => {
  test('plain', () => expect(order(PLAIN, 4)).toEqual([0, 1, 2, 3]));
  test('gate and up lie side by side', () => {
    expect(order({ ...PLAIN, kind: 'interleaved', phase: 0 }, 3)).toEqual([0, 2, 4]);
    expect(order({ ...PLAIN, kind: 'interleaved', phase: 1 }, 3)).toEqual([1, 3, 5]);
  });
  test('the two halves that a rotation turns lie side by side, in each head', () =>
    expect(order({ kind: 'rotated', phase: 0, head: 6, rot: 6 }, 12)).toEqual([0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]));
  test('what is not turned stays behind them', () =>
    expect(order({ kind: 'rotated', phase: 0, head: 7, rot: 4 }, 14)).toEqual([0, 2, 1, 3, 4, 5, 6, 7, 9, 8, 10, 11, 12, 13]));
  test.each([
    [2, 2],
    [64, 64],
    [80, 32],
    [5, 0],
  ])('heads of %i of which %i are turned: a permutation that keeps to its head', (head, rot) => {
    const rows = order({ kind: 'rotated', phase: 0, head, rot }, 3 * head);
    expect([...rows].sort((a, b) => a - b)).toEqual(rows.map((_, i) => i));
    rows.forEach((row, o) => expect(Math.floor(row / head)).toBe(Math.floor(o / head)));
  });
});

const MODELS: [string, Family, Record<string, unknown>][] = [
  ['GPT-2', gpt2, { n_layer: 2, n_embd: 12, n_head: 4, vocab_size: 11, n_positions: 8 }],
  ['GPT-2 with a head of its own', gpt2, { n_layer: 1, n_embd: 6, n_head: 2, vocab_size: 11, n_positions: 8, tie_word_embeddings: false }],
  [
    'Llama, grouped',
    llama,
    {
      num_hidden_layers: 2,
      hidden_size: 12,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 6,
      intermediate_size: 10,
      vocab_size: 9,
    },
  ],
  [
    'Llama with every bias',
    llama,
    {
      ...{ num_hidden_layers: 1, hidden_size: 8, num_attention_heads: 2, intermediate_size: 5, vocab_size: 9 },
      ...{ attention_bias: true, mlp_bias: true, tie_word_embeddings: true },
    },
  ],
];

describe.each(MODELS)('%s', (_, family, config) => {
  const spec = family.spec(config);
  const table = weightTable(spec, () => 'f32', 1 << 27);

  test('every row of every matrix is written once, and every word of every vector', () => {
    const filled = new Map<string, number[]>();
    for (const rule of family.tensors(spec)) {
      const to = placementOf(rule.place, spec);
      if (to.name === 'pos') continue;
      const outs = (rule.transposed ? rule.shape[1] : rule.shape[0]) ?? 0;
      const rows = filled.get(to.name) ?? [];
      for (let o = 0; o < outs; o++) rows.push(to.base + rowOf(to.map, o));
      filled.set(to.name, rows);
      expect(to.vector ? table.vectors.has(to.name) : table.matrices.has(to.name), to.name).toBe(true);
    }
    for (const [name, rows] of filled) {
      const sorted = [...rows].sort((a, b) => a - b);
      expect(sorted, name).toEqual(sorted.map((_, i) => i));
      const matrix = table.matrices.get(name);
      if (matrix) expect(rows.length, name).toBe(matrix.n);
    }
    expect([...table.matrices.keys(), ...table.vectors.keys()].sort()).toEqual([...filled.keys()].sort());
  });

  test('q, k and v stand one after the other; a bias follows its rows', () => {
    for (const rule of family.tensors(spec)) {
      if (!('part' in rule.place)) continue;
      const { base, map } = placementOf(rule.place, spec);
      const { heads, kvHeads, dHead } = spec;
      const { part } = rule.place;
      expect(base).toBe({ q: 0, k: heads * dHead, v: (heads + kvHeads) * dHead, qkv: 0, in: 0, gate: 0, up: 0 }[part]);
      const rotary = spec.positions.kind === 'rotary' && (part === 'q' || part === 'k');
      expect(map.kind).toBe(rotary ? 'rotated' : part === 'gate' || part === 'up' ? 'interleaved' : 'plain');
      expect(map.phase).toBe(part === 'up' ? 1 : 0);
    }
  });

  test('a norm’s bias lies right behind its padded gain', () => {
    for (const [name, at] of table.vectors) {
      expect(at % 4).toBe(0);
      if (name.endsWith('ln1.b') || name.endsWith('ln2.b') || name === 'ln_final.b')
        expect(at).toBe((table.vectors.get(name.replace(/b$/, 'w')) ?? 0) + Math.ceil(spec.dModel / 4) * 4);
    }
  });
});

test('a matrix beyond the limit is split at even rows, all but the last of one size', () => {
  const spec = gpt2.spec({ n_layer: 1, n_embd: 12, n_head: 2, vocab_size: 101, n_positions: 8 });
  for (const [dtype, limit] of [
    ['f32', 12 * 4 * 31],
    ['f16', 12 * 2 * 7 + 5],
    ['f32', 1],
  ] as const) {
    const embed = weightTable(spec, () => dtype, limit).matrices.get('embed');
    const pieces = embed?.pieces ?? [];
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.reduce((sum, { rows }) => sum + rows, 0)).toBe(101);
    let row = 0;
    for (const [i, piece] of pieces.entries()) {
      expect(piece.row0).toBe(row);
      expect(piece.row0 % 2).toBe(0);
      if (i + 1 < pieces.length) expect(piece.rows).toBe(pieces[0]?.rows);
      if (limit > 1) expect(piece.rows * 12 * (dtype === 'f32' ? 4 : 2)).toBeLessThanOrEqual(limit);
      row += piece.rows;
    }
    expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(pieces.length);
  }
});
