/** Where tensors go: every row of every matrix is filled by exactly one tensor, in the order that the kernels read. */
import { assert, constantFrom, integer, property, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RowMap } from '../../../workers/kernels/repack';
import { familyOf } from '../../../workers/model/families';
import type { Config } from '../../../workers/model/family';
import { gpt2 } from '../../../workers/model/families/gpt2';
import { weightTable } from '../../../workers/model/matrices';
import { placementOf, rowOf } from '../../../workers/model/place';
import { SMALL } from '../../support/small-model';

const PLAIN: RowMap = { kind: 'plain', phase: 0, head: 1, rot: 0, limit: 0 };
const order = (map: RowMap, n: number): number[] => Array.from({ length: n }, (_, o) => rowOf(map, o));
const rotated = (head: number, rot: number, heads: number): RowMap => ({ ...PLAIN, kind: 'rotated', head, rot, limit: heads * head });
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sorted = (rows: readonly number[]): number[] => [...rows].sort((a, b) => a - b);

describe('rowOf, written out', () => {
  test('plain', () => expect(order(PLAIN, 4)).toEqual([0, 1, 2, 3]));
  test('gate and up lie side by side', () => {
    expect(order({ ...PLAIN, kind: 'interleaved', phase: 0 }, 3)).toEqual([0, 2, 4]);
    expect(order({ ...PLAIN, kind: 'interleaved', phase: 1 }, 3)).toEqual([1, 3, 5]);
  });
  test('from one tensor too', () => expect(order({ ...PLAIN, kind: 'halves', limit: 3 }, 6)).toEqual([0, 2, 4, 1, 3, 5]));
  test('the two halves that a rotation turns lie side by side, in each head', () =>
    expect(order(rotated(6, 6, 2), 12)).toEqual([0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]));
  test('what is not turned stays behind them', () =>
    expect(order(rotated(7, 4, 2), 14)).toEqual([0, 2, 1, 3, 4, 5, 6, 7, 9, 8, 10, 11, 12, 13]));
  test('values, behind the limit, are not turned', () => expect(order(rotated(4, 4, 1), 8)).toEqual([0, 2, 1, 3, 4, 5, 6, 7]));
  test('q, k and v of each head, to all q, all k, all v', () =>
    expect(order({ ...PLAIN, kind: 'heads', head: 2, rot: 0, limit: 4 }, 12)).toEqual([0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]));
  test('… with q and k turned', () =>
    expect(order({ ...PLAIN, kind: 'heads', head: 4, rot: 4, limit: 4 }, 12)).toEqual([0, 2, 1, 3, 4, 6, 5, 7, 8, 9, 10, 11]));
});

/** Heads of a spec: rotary over an even part of an even width. */
const shapes = record({
  kvHeads: integer({ min: 1, max: 4 }),
  group: integer({ min: 1, max: 3 }),
  half: integer({ min: 1, max: 8 }),
  turned: integer({ min: 0, max: 8 }),
  dMlp: integer({ min: 1, max: 20 }),
});

describe('every way to lay q, k and v, or gate and up, into tensors fills the same rows with the same weights', () => {
  const specOf = ({
    kvHeads,
    group,
    half,
    turned,
    dMlp,
  }: {
    kvHeads: number;
    group: number;
    half: number;
    turned: number;
    dMlp: number;
  }) => {
    const dims = 2 * Math.min(turned, half);
    const positions = { kind: 'rotary', dims, tables: [], tableOf: [] } as const;
    return { ...SMALL, heads: kvHeads * group, kvHeads, dHead: 2 * half, dMlp, ...(dims > 0 ? { positions } : {}) };
  };
  type Spec = ReturnType<typeof specOf>;
  /** Engine row → the weight that a part's tensor puts there, told as “q 3.1” (head, row within it). */
  const lay = (spec: Spec, parts: readonly ['q' | 'k' | 'v' | 'qkv' | 'heads', string[]][]): Map<number, string> => {
    const found = new Map<number, string>();
    for (const [part, labels] of parts) {
      const { base, map } = placementOf({ matrix: 'attn.qkv', layer: 0, part }, spec);
      labels.forEach((label, o) => {
        const row = base + rowOf(map, o);
        expect(found.has(row), `${part}: row ${row} twice`).toBe(false);
        found.set(row, label);
      });
    }
    return found;
  };
  const named = (spec: Spec, part: 'q' | 'k' | 'v'): string[] =>
    upTo((part === 'q' ? spec.heads : spec.kvHeads) * spec.dHead).map((o) => `${part} ${Math.floor(o / spec.dHead)}.${o % spec.dHead}`);

  test('three tensors = one after the other in one = head by head in one', () => {
    assert(
      property(shapes, (shape) => {
        const spec = specOf(shape);
        const [q, k, v] = [named(spec, 'q'), named(spec, 'k'), named(spec, 'v')];
        const apart = lay(spec, [
          ['q', q],
          ['k', k],
          ['v', v],
        ]);
        // A bijection onto all rows.
        expect(sorted([...apart.keys()])).toEqual(upTo((spec.heads + 2 * spec.kvHeads) * spec.dHead));
        expect(lay(spec, [['qkv', [...q, ...k, ...v]]])).toEqual(apart);
        if (spec.heads !== spec.kvHeads) return;
        const { dHead } = spec;
        const byHead = upTo(spec.heads).flatMap((h) => [q, k, v].flatMap((each) => each.slice(h * dHead, (h + 1) * dHead)));
        expect(lay(spec, [['heads', byHead]])).toEqual(apart);
      }),
    );
  });

  test('a turned pair lies at an even row and the next, in its head; the rest keeps its place', () => {
    assert(
      property(shapes, (shape) => {
        const spec = specOf(shape);
        const { dHead, heads, kvHeads } = spec;
        const dims = spec.positions.kind === 'rotary' ? spec.positions.dims : 0;
        const rows = lay(spec, [['qkv', [...named(spec, 'q'), ...named(spec, 'k'), ...named(spec, 'v')]]]);
        for (let g = 0; g < heads + kvHeads; g++)
          for (let i = 0; i < dHead; i++) {
            const part = g < heads ? `q ${g}` : `k ${g - heads}`;
            const expected = i < dims ? (i % 2 === 0 ? i / 2 : (i - 1) / 2 + dims / 2) : i;
            expect(rows.get(g * dHead + i)).toBe(`${part}.${expected}`);
          }
        for (let o = 0; o < kvHeads * dHead; o++)
          expect(rows.get((heads + kvHeads) * dHead + o)).toBe(`v ${Math.floor(o / dHead)}.${o % dHead}`);
      }),
    );
  });

  test('gate and up: two tensors = one', () => {
    assert(
      property(integer({ min: 1, max: 40 }), constantFrom(true, false), (dMlp, bias) => {
        const spec = { ...SMALL, dMlp };
        const rows = (part: 'gate' | 'up' | 'gate-up', n: number): number[] => {
          const { base, map } = placementOf(bias ? { vector: 'mlp.in.b', layer: 0, part } : { matrix: 'mlp.in', layer: 0, part }, spec);
          return upTo(n).map((o) => base + rowOf(map, o));
        };
        const apart = [...rows('gate', dMlp), ...rows('up', dMlp)];
        expect(sorted(apart)).toEqual(upTo(2 * dMlp));
        expect(rows('gate-up', 2 * dMlp)).toEqual(apart);
      }),
    );
  });
});

const wide = { num_hidden_layers: 2, hidden_size: 12, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 6 };
const narrow = { num_hidden_layers: 1, hidden_size: 8, num_attention_heads: 2, intermediate_size: 5, vocab_size: 9 };
const toy = { n_layers: 2, d_model: 12, d_head: 6, n_heads: 4, n_ctx: 8, d_vocab: 9 };
const MODELS: [string, Config][] = [
  ['GPT-2', { model_type: 'gpt2', n_layer: 2, n_embd: 12, n_head: 4, vocab_size: 11, n_positions: 8 }],
  [
    'GPT-2 with a head of its own',
    { model_type: 'gpt2', n_layer: 1, n_embd: 6, n_head: 2, vocab_size: 11, n_positions: 8, tie_word_embeddings: false },
  ],
  ['GPT-Neo', { model_type: 'gpt_neo', hidden_size: 12, num_layers: 2, num_heads: 3, vocab_size: 11, max_position_embeddings: 8 }],
  ['GPT-NeoX', { model_type: 'gpt_neox', hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, rotary_pct: 0.5, vocab_size: 9 }],
  ['GPT-NeoX without biases', { model_type: 'gpt_neox', ...narrow, rotary_pct: 1, attention_bias: false }],
  ['Llama, grouped', { model_type: 'llama', ...wide, intermediate_size: 10, vocab_size: 9 }],
  ['Llama with every bias', { model_type: 'llama', ...narrow, attention_bias: true, mlp_bias: true, tie_word_embeddings: true }],
  ['Mistral', { model_type: 'mistral', ...wide, intermediate_size: 10, vocab_size: 9, sliding_window: 4 }],
  ['Qwen 2', { model_type: 'qwen2', ...wide, intermediate_size: 10, vocab_size: 9 }],
  ['Qwen 3', { model_type: 'qwen3', ...wide, intermediate_size: 10, vocab_size: 9 }],
  ['Gemma 2', { model_type: 'gemma2', ...wide, intermediate_size: 10, vocab_size: 9 }],
  ['Gemma 3', { model_type: 'gemma3_text', ...wide, intermediate_size: 10, vocab_size: 9 }],
  ['Phi-2', { model_type: 'phi', ...narrow }],
  ['Phi-3', { model_type: 'phi3', ...wide, intermediate_size: 10, vocab_size: 9, partial_rotary_factor: 0.67 }],
  ['StarCoder 2', { model_type: 'starcoder2', ...wide, intermediate_size: 10, vocab_size: 9 }],
  ['StarCoder 2 without biases', { model_type: 'starcoder2', ...narrow, use_bias: false }],
  ['a toy', { ...toy, normalization_type: 'LN', act_fn: 'gelu', d_vocab_out: 7 }],
  [
    'a toy, rotary, grouped',
    {
      ...toy,
      normalization_type: 'RMS',
      act_fn: 'silu',
      n_key_value_heads: 2,
      positional_embedding_type: 'rotary',
      rotary_dim: 4,
    },
  ],
  ['an attention-only toy without norms', { ...toy, attn_only: true }],
];

describe.each(MODELS)('%s', (_, config) => {
  const family = familyOf(config);
  const spec = family.spec(config);
  const table = weightTable(spec, () => 'f32', 1 << 27);

  test('every row of every matrix is written once, and every word of every vector', () => {
    const filled = new Map<string, number[]>();
    for (const rule of family.tensors(spec)) {
      const to = placementOf(rule.place, spec);
      if (to.name === 'pos') continue;
      const slices = rule.stacked ? (rule.shape[0] ?? 1) : 1;
      const size = rule.shape.reduce((a, b) => a * b, 1) / slices;
      const outs = (to.vector ? size : rule.transposed ? rule.shape.at(-1) : rule.shape[0]) ?? 0;
      const rows = filled.get(to.name) ?? [];
      for (let slice = 0; slice < slices; slice++) for (let o = 0; o < outs; o++) rows.push(to.base + slice * outs + rowOf(to.map, o));
      filled.set(to.name, rows);
      expect(to.vector ? table.vectors.has(to.name) : table.matrices.has(to.name), to.name).toBe(true);
    }
    for (const [name, rows] of filled) {
      expect(sorted(rows), name).toEqual(upTo(rows.length));
      const matrix = table.matrices.get(name);
      if (matrix) expect(rows.length, name).toBe(matrix.n);
    }
    // Where one norm serves both branches, the second is a name for the first.
    const shared = spec.block.sharedNorm ? [...table.vectors.keys()].filter((name) => /\.ln2\.[wb]$/.test(name)) : [];
    for (const name of shared) expect(table.vectors.get(name)).toBe(table.vectors.get(name.replace('ln2', 'ln1')));
    expect([...table.matrices.keys(), ...table.vectors.keys()].sort()).toEqual([...filled.keys(), ...shared].sort());
  });

  test('a bias lies as the rows of its matrix do', () => {
    for (const rule of family.tensors(spec)) {
      if (!('part' in rule.place)) continue;
      const { layer, part } = rule.place;
      const attention = ['q', 'k', 'v', 'qkv', 'heads'].includes(part);
      const [matrix, vector] = attention ? (['attn.qkv', 'attn.qkv.b'] as const) : (['mlp.in', 'mlp.in.b'] as const);
      const placed = [
        { matrix, layer, part },
        { vector, layer, part },
      ].map((place) => placementOf(place as typeof rule.place, spec));
      expect(placed[0]?.base).toBe(placed[1]?.base);
      expect(placed[0]?.map).toEqual(placed[1]?.map);
    }
  });

  test('a norm’s bias lies right behind its padded gain', () => {
    for (const [name, at] of table.vectors) {
      expect(at % 4).toBe(0);
      if (/ln\w+\.b$/.test(name)) expect(at).toBe((table.vectors.get(name.replace(/b$/, 'w')) ?? 0) + Math.ceil(spec.dModel / 4) * 4);
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
