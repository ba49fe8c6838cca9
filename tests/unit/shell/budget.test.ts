import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { check, measure, namedByPage, staticImports } from '../../../tools/budget.mjs';

describe('what must be loaded before the bench is usable', () => {
  let folder = '';
  const write = (path: string, text: string): Promise<void> => writeFile(join(folder, path), text);
  beforeEach(async () => {
    vi.spyOn(console, 'log').mockImplementation(() => undefined);
    folder = await mkdtemp(join(tmpdir(), 'loupe-budget-'));
    await mkdir(join(folder, 'assets'));
    await write('index.html', '<script src="./theme.js"></script><script type="module" src="./assets/index-1.js"></script>');
    await write('theme.js', '0;');
    await write('assets/index-1.js', 'import{a}from"./shared-1.js";import("./later-1.js");a();');
    await write('assets/shared-1.js', 'export const a=()=>1;');
    await write('assets/later-1.js', 'export{};');
    await write('assets/engine.worker-1.js', 'export{b}from"./kernel-1.js";');
    await write('assets/kernel-1.js', 'export const b=1;');
    await write('assets/files.worker-1.js', '0;');
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(folder, { recursive: true });
  });

  it('reads the page and the modules', () => {
    expect(namedByPage('<link rel="modulepreload" crossorigin href="./a.js"><link rel="icon" href="i.svg"><script src="b.js">')).toEqual([
      'a.js',
      'b.js',
    ]);
    expect(
      staticImports('import "./a.js"; import b, { c } from "./b.js"; export * from "./d.js"; export const e = import("./e.js");'),
    ).toEqual(['./a.js', './b.js', './d.js']);
  });

  it('follows static imports, of the page and of both workers, and not what is loaded later', () => {
    const paths = measure(folder).map((row) => row.path);
    expect(paths).toEqual([
      'theme.js',
      'assets/index-1.js',
      'assets/shared-1.js',
      'assets/engine.worker-1.js',
      'assets/kernel-1.js',
      'assets/files.worker-1.js',
    ]);
    expect(check(folder)).toEqual([]);
  });

  it('fails over the budget', async () => {
    const noise = Array.from({ length: 60_000 }, (_, i) => Math.sin(i).toString(36).slice(3)).join('');
    await write('assets/shared-1.js', `export const a=()=>"${noise}";`);
    expect(check(folder)).toEqual([expect.stringContaining('over the budget')]);
  });

  it('fails when a heavy part is needed at start, also under another name', async () => {
    await write('assets/files.worker-1.js', 'import"./onnxruntime-1.js";');
    await write('assets/onnxruntime-1.js', '0;');
    await write('assets/kernel-1.js', 'export const b="ort-wasm-simd-threaded.wasm";');
    expect(check(folder)).toEqual([expect.stringContaining('kernel-1.js'), expect.stringContaining('onnxruntime-1.js')]);
  });

  it('fails when a worker is not there', async () => {
    await rm(join(folder, 'assets/engine.worker-1.js'));
    expect(() => measure(folder)).toThrow('engine.worker');
  });
});
