import { describe, expect, it } from 'vitest';
import type { Edit, VectorInfo } from '../../../workers/api';
import { resolveEdit, resolveEdits, type EditSources } from '../../../src/lab/edits';

const info: VectorInfo = { id: 'v1', name: 'kept', at: 'blocks.2.hook_resid_post', norm: 5 };
const sources: EditSources = {
  vector: (id) => (id === 'v1' ? Promise.resolve({ info, data: Float32Array.of(3, 4) }) : Promise.reject(new Error('no such vector'))),
  dictionary: (id) =>
    id === 'd1' ? Promise.resolve({ hookOut: 'blocks.1.hook_resid_post' }) : Promise.reject(new Error('no such dictionary')),
  ids: (prompt) => Promise.resolve(typeof prompt === 'string' ? [...prompt].map((c) => c.charCodeAt(0)) : [...prompt]),
};
const refused = (edit: unknown) =>
  resolveEdit(edit as Edit, sources).then(
    () => 'accepted',
    (error: { code: string }) => error.code,
  );

describe('an edit, resolved', () => {
  it('of a dictionary stands where the dictionary writes, unless it says where', async () => {
    const latent = { kind: 'latent', dictionary: 'd1', latent: 7, op: 'scale', value: -2 } as const;
    const rest = { where: 'all', skipSpecial: false, strength: 1, enabled: true };
    expect(await resolveEdit(latent, sources)).toEqual({ ...latent, ...rest, at: 'blocks.1.hook_resid_post' });
    expect(await resolveEdit({ ...latent, at: 'blocks.3.hook_resid_pre' }, sources)).toMatchObject({ at: 'blocks.3.hook_resid_pre' });
    const splice = { kind: 'splice', dictionary: 'd1', keepError: true } as const;
    expect(await resolveEdit(splice, sources)).toEqual({ ...splice, ...rest, at: 'blocks.1.hook_resid_post' });
  });

  it('gets every default of the contract', async () => {
    expect(await resolveEdit({ kind: 'add', vector: 'v1', scale: 2 }, sources)).toEqual({
      kind: 'add',
      at: 'blocks.2.hook_resid_post',
      where: 'all',
      skipSpecial: false,
      strength: 1,
      enabled: true,
      vector: Float32Array.of(3, 4),
      scale: 2,
    });
  });

  it('keeps what the caller says, the hook above all', async () => {
    const edit: Edit = {
      kind: 'project',
      vector: 'v1',
      keep: 0.5,
      at: 'hook_embed',
      where: [-1, 2],
      skipSpecial: true,
      strength: -2,
      enabled: false,
    };
    expect(await resolveEdit(edit, sources)).toEqual({ ...edit, vector: Float32Array.of(3, 4) });
  });

  it('takes numbers as they are, and then needs a hook', async () => {
    const edit: Edit = { kind: 'cap', vector: [1, 2, 3], cap: -1, at: 'blocks.0.hook_mlp_out', head: 0 };
    expect(await resolveEdit(edit, sources)).toMatchObject({ vector: Float32Array.of(1, 2, 3), cap: -1, head: 0 });
    expect(await refused({ kind: 'add', vector: [1], scale: 1 })).toBe('edit-invalid');
  });

  it('turns every kind of replacement into numbers or ids', async () => {
    const at = 'blocks.1.hook_resid_pre';
    const value = async (given: Extract<Edit, { kind: 'replace' }>['value']) => {
      const resolved = await resolveEdit({ kind: 'replace', at, value: given }, sources);
      return resolved.kind === 'replace' ? resolved.value : undefined;
    };
    expect(await value('zero')).toBe('zero');
    expect(await value([1, 2])).toEqual({ shape: [2], data: Float32Array.of(1, 2) });
    expect(await value({ shape: [2, 1], data: Float32Array.of(1, 2) })).toEqual({ shape: [2, 1], data: Float32Array.of(1, 2) });
    expect(await value({ prompt: 'ab' })).toEqual({ ids: [97, 98] });
    expect(await value({ prompt: [7, 8, 9], from: [2] })).toEqual({ ids: [7, 8, 9], from: [2] });
    expect(await value({ mean: ['a', 'bc'], over: 'position' })).toEqual({ mean: [[97], [98, 99]], over: 'position' });
  });

  it('keeps the list in order', async () => {
    const resolved = await resolveEdits(
      [
        { kind: 'add', vector: 'v1', scale: 1 },
        { kind: 'cap', vector: 'v1', cap: 0 },
      ],
      sources,
    );
    expect(resolved.map(({ kind }) => kind)).toEqual(['add', 'cap']);
    expect(await resolveEdits(undefined, sources)).toEqual([]);
  });
});

describe('an edit, refused', () => {
  const at = 'hook_embed';
  it.each([
    ['a scale that is no number', { kind: 'add', vector: [1], scale: Number.NaN, at }],
    ['a strength without end', { kind: 'add', vector: [1], scale: 1, strength: Infinity, at }],
    ['an empty vector', { kind: 'add', vector: [], scale: 1, at }],
    ['a vector with a hole', { kind: 'add', vector: [1, Number.NaN], scale: 1, at }],
    ['a place that is none', { kind: 'add', vector: [1], scale: 1, at, where: 'everywhere' }],
    ['half a position', { kind: 'add', vector: [1], scale: 1, at, where: [0.5] }],
    ['a replacement that is a word', { kind: 'replace', value: 'nothing', at }],
    ['a tensor of the wrong size', { kind: 'replace', value: { shape: [3], data: Float32Array.of(1) }, at }],
    ['the mean of nothing', { kind: 'replace', value: { mean: [], over: 'all' }, at }],
    ['a replacement nowhere', { kind: 'replace', value: 'zero' }],
    ['a kind that is none', { kind: 'invert', at }],
  ])('%s', async (_name, edit) => expect(await refused(edit)).toBe('edit-invalid'));

  it.each([
    ['a latent that is no number', { kind: 'latent', dictionary: 'd1', latent: 1.5, op: 'set', value: 1 }],
    ['a latent below 0', { kind: 'latent', dictionary: 'd1', latent: -1, op: 'set', value: 1 }],
    ['an operation that is none', { kind: 'latent', dictionary: 'd1', latent: 1, op: 'halve', value: 1 }],
    ['a value that is none', { kind: 'latent', dictionary: 'd1', latent: 1, op: 'set', value: NaN }],
  ])('%s', async (_name, edit) => expect(await refused(edit)).toBe('edit-invalid'));
});
