import { describe, expect, it } from 'vitest';
import { cacheName, cachePrefix, decide, type Manifest } from '../../../workers/precache';
import { LAZY } from '../../../tools/offline.mjs';

const scope = 'http://host.test:8000/loupe/';
const manifest: Manifest = {
  version: 'v1',
  files: { '': 'a', 'theme.js': 'b', 'assets/index-1.js': 'c' },
  lazy: ['assets/onnxruntime-2.js'],
};
const get = (url: string, method = 'GET') => decide({ url, method }, scope, manifest);

describe('what the service worker answers', () => {
  it.each([
    'https://elsewhere.test/x',
    'http://host.test:8001/loupe/theme.js',
    'https://host.test:8000/loupe/theme.js',
    'http://host.test/loupe/theme.js',
    'http://sub.host.test:8000/loupe/theme.js',
    'http://host.test:8000@elsewhere.test/loupe/theme.js',
    'data:text/plain,x',
  ])('refuses %s, whatever the method', (url) => {
    expect(get(url)).toEqual({ kind: 'foreign' });
    expect(get(url, 'POST')).toEqual({ kind: 'foreign' });
  });

  it('knows the page by its folder, by its name, and with any question mark', () => {
    for (const url of [scope, `${scope}index.html`, `${scope}?limits=default`, `${scope}#top`])
      expect(get(url)).toEqual({ kind: 'kept', path: '' });
    expect(get(`${scope}assets/index-1.js`)).toEqual({ kind: 'kept', path: 'assets/index-1.js' });
  });

  it('keeps what is loaded when used, and finds files of an earlier build', () => {
    expect(get(`${scope}assets/onnxruntime-2.js`).kind).toBe('lazy');
    expect(get(`${scope}assets/index-0.js`).kind).toBe('lazy');
  });

  it('leaves the rest of the host to the browser', () => {
    expect(get('http://host.test:8000/other/theme.js')).toEqual({ kind: 'pass' });
    expect(get('http://host.test:8000/loupe')).toEqual({ kind: 'pass' });
    expect(get(`${scope}constructor`)).toEqual({ kind: 'pass' });
    expect(get(`${scope}theme.js`, 'POST')).toEqual({ kind: 'pass' });
  });

  it('names caches by folder and build, so that copies on one host do not mix', () => {
    expect(cacheName(scope, manifest).startsWith(cachePrefix(scope))).toBe(true);
    expect(cacheName('http://host.test:8000/loupe/old/', manifest).startsWith(cachePrefix(scope))).toBe(false);
  });
});

describe('what need not be kept', () => {
  it.each(['assets/onnxruntime-Ab1.js', 'assets/transformers-x.js', 'assets/ort-wasm-simd-threaded-Ab1.wasm', 'assets/ort.wasm.min-1.mjs'])(
    '%s',
    (path) => {
      expect(LAZY.test(path)).toBe(true);
    },
  );
  it.each(['assets/engine.worker-1.js', 'assets/index-ort.js', 'assets/report-1.js', 'index.html', 'assets/inter-1.woff2'])(
    'but %s',
    (path) => {
      expect(LAZY.test(path)).toBe(false);
    },
  );
});
