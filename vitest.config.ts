/**
 * Three rooms of tests. `unit` runs in Node; `gpu` and `golden` run in a real Chromium with WebGPU, one file after another, because
 * they share one GPU. Tests that use data which does not ship with the repo ask tests/support/shared.ts where it is, and skip where it is not.
 */
import { existsSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findChromium, gpuFlags } from './tools/chromium.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));
const beside = process.env['LOUPE_SHARED_DATA'] ?? fileURLToPath(new URL('../shared/data', import.meta.url));
const shared = existsSync(beside) ? realpathSync(beside) : '';

const inChromium = (name: string): TestProjectInlineConfiguration => {
  const executablePath = findChromium();
  return {
    define: {
      __SHARED_DATA__: JSON.stringify(shared && `/@fs/${shared.replace(/\\/g, '/').replace(/^\//, '')}/`),
      __SURVEY_TOKENS__: process.env['LOUPE_SURVEY_TOKENS'] ?? '6000',
    },
    server: { fs: { allow: [root, ...(shared ? [shared] : [])] } },
    optimizeDeps: {
      include: [
        'comlink',
        'idb',
        'fflate',
        'hash-wasm',
        '@huggingface/tokenizers',
        'hyparquet',
        'hyparquet-compressors',
        'onnxruntime-web/wasm',
        'onnx-proto',
        'ml-matrix',
      ],
    },
    test: {
      name,
      include: [`tests/${name}/**/*.test.ts`],
      fileParallelism: false,
      testTimeout: 120_000,
      hookTimeout: 120_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: { ...(executablePath ? { executablePath } : {}), args: gpuFlags() } }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
};

export default defineConfig({
  test: {
    projects: [
      {
        // The page's stores are written in runes.
        plugins: [svelte()],
        define: { __SHARED_DATA__: JSON.stringify(shared) },
        test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], environment: 'node', testTimeout: 20_000 },
      },
      inChromium('gpu'),
      inChromium('golden'),
    ],
  },
});
