import { Linter } from 'eslint';
import { describe, expect, it } from 'vitest';
import tseslint from 'typescript-eslint';
import { forbidden, oneWay } from '../../../tools/lint/one-way.js';

describe('the one-way rule', () => {
  it.each([
    ['src/lab/client.ts', 'workers/entries', false],
    ['src/lab/client.ts', 'workers/errors', false],
    ['src/lab/client.ts', 'workers/model/spec', true],
    ['src/App.svelte', 'src/ui/Button.svelte', false],
    ['workers/experiments/patching.ts', 'workers/model/run', false],
    ['workers/experiments/patching/grid.ts', 'workers/experiments/patching/cells', false],
    ['workers/model/forward.ts', 'workers/gpu/device', false],
    ['workers/dictionary/encode.ts', 'workers/model/hooks', true],
    ['workers/kernels/norm.ts', 'shaders/norm.wgsl', false],
    ['workers/library/import.ts', 'workers/formats/safetensors', false],
    ['workers/library/import.ts', 'workers/model/families', false],
    ['workers/formats/dictionaries/saelens.ts', 'workers/dictionary/spec', false],
    ['workers/formats/dictionaries/saelens.ts', 'workers/dictionary/encode', true],
    ['workers/gpu/device.ts', 'workers/errors', false],
    ['workers/engine.worker.ts', 'workers/experiments/patching', false],
    ['workers/files.worker.ts', 'workers/port', false],
    ['tests/gpu/norm.test.ts', 'workers/kernels/norm', false],
    ['tools/start.mjs', 'workers/errors', false],
  ])('lets %s import %s (types only: %s)', (from, to, typeOnly) => {
    expect(forbidden(from, to, typeOnly)).toBeUndefined();
  });

  it.each([
    ['src/lab/client.ts', 'workers/model/spec', false],
    ['src/lab/client.ts', 'workers/port', false],
    ['src/lab/client.ts', 'workers/engine.worker', false],
    ['src/charts/heatmap.ts', 'shaders/norm.wgsl', true],
    ['src/App.svelte', 'tests/support/toy', false],
    ['workers/engine.worker.ts', 'src/lab/client', true],
    ['workers/gpu/device.ts', 'workers/kernels/norm', true],
    ['workers/kernels/norm.ts', 'workers/model/spec', true],
    ['workers/model/forward.ts', 'workers/experiments/patching', false],
    ['workers/model/forward.ts', 'workers/dictionary/encode', false],
    ['workers/dictionary/encode.ts', 'workers/model/forward', false],
    ['workers/formats/safetensors.ts', 'workers/library/opfs', true],
    ['workers/formats/safetensors.ts', 'workers/gpu/device', false],
    ['workers/formats/dictionaries/saelens.ts', 'workers/dictionary/encode', false],
    ['workers/library/opfs.ts', 'workers/model/run', false],
    ['workers/library/opfs.ts', 'shaders/norm.wgsl', false],
    ['workers/experiments/patching.ts', 'workers/experiments/steering', true],
    ['workers/experiments/patching/grid.ts', 'workers/experiments/steering/dial', false],
    ['workers/gpu/device.ts', 'workers/entries', false],
    ['workers/model/run.ts', 'workers/engine.worker', false],
    ['workers/model/run.ts', 'tools/chromium', false],
    ['workers/attic/thing.ts', 'workers/gpu/device', false],
  ])('does not let %s import %s (types only: %s)', (from, to, typeOnly) => {
    expect(forbidden(from, to, typeOnly)).toEqual(expect.any(String));
  });
});

describe('the one-way rule, as ESLint runs it', () => {
  const complaints = (filename: string, code: string): number => {
    const cwd = '/house';
    const found = new Linter({ cwd }).verify(
      code,
      [
        {
          files: ['**/*.ts'],
          languageOptions: { parser: tseslint.parser },
          plugins: { house: { rules: { 'one-way': oneWay } } },
          rules: { 'house/one-way': 'error' },
        },
      ],
      { filename: `${cwd}/${filename}` },
    );
    for (const { ruleId, message } of found) expect([ruleId, message]).toEqual(['house/one-way', message]);
    return found.length;
  };

  it('sees every way to import', () => {
    expect(complaints('workers/gpu/device.ts', `import { norm } from '../kernels/norm';`)).toBe(1);
    expect(complaints('workers/gpu/device.ts', `import '../kernels/norm';`)).toBe(1);
    expect(complaints('workers/gpu/device.ts', `export { norm } from '../kernels/norm';`)).toBe(1);
    expect(complaints('workers/gpu/device.ts', `export * from '../kernels/norm';`)).toBe(1);
    expect(complaints('workers/gpu/device.ts', `const later = import('../kernels/norm');`)).toBe(1);
    expect(complaints('src/lab/client.ts', `const url = new URL('../../workers/engine.worker.ts', import.meta.url);`)).toBe(1);
    expect(complaints('src/lab/client.ts', `import url from '../../workers/engine.worker.ts?worker&url';`)).toBe(1);
  });

  it('tells a type from a value', () => {
    expect(complaints('src/lab/client.ts', `import type { Spec } from '../../workers/model/spec';`)).toBe(0);
    expect(complaints('src/lab/client.ts', `import { type Spec } from '../../workers/model/spec';`)).toBe(0);
    expect(complaints('src/lab/client.ts', `import { type Spec, read } from '../../workers/model/spec';`)).toBe(1);
    expect(complaints('src/lab/client.ts', `export type { Spec } from '../../workers/model/spec';`)).toBe(0);
  });

  it('lets packages and the own room be', () => {
    expect(
      complaints('workers/gpu/device.ts', `import { wrap } from 'comlink'; import { a } from './buffers'; export const b = a + wrap;`),
    ).toBe(0);
  });
});
