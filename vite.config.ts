/**
 * How the page is built. `base: './'` makes dist/ work from any path of any static host. Nothing is inlined as a data: URL, so that the
 * policy can stay narrow. The heavy parts that are loaded only when used get chunks of their own, by name, in the page and in the
 * workers alike: the service worker leaves them out of what must be kept, and tools/budget.mjs fails when start-up needs them.
 */
import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';
import { offline } from './tools/offline.mjs';

/** Development alone puts styles in by script; what is built keeps the strict policy. */
const looserWhileDeveloping: Plugin = {
  name: 'loupe:development-policy',
  apply: 'serve',
  transformIndexHtml: (html) => html.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'"),
};

/** What is shipped of a shader is what the compiler reads: its comments are for whoever reads the source, and cost a tenth of start-up. */
const leanShaders: Plugin = {
  name: 'loupe:lean-shaders',
  apply: 'build',
  enforce: 'pre',
  load(id) {
    const [path = '', query] = id.split('?');
    if (query !== 'raw' || !path.endsWith('.wgsl')) return null;
    const lines = readFileSync(path, 'utf8').split('\n');
    const lean = lines.map((line) => line.replace(/\/\/.*$/, '').trim()).filter((line) => line !== '');
    return `export default ${JSON.stringify(lean.join('\n'))}`;
  },
};

const output = {
  codeSplitting: {
    includeDependenciesRecursively: false,
    groups: [
      { name: 'onnxruntime', test: /node_modules[\\/]onnxruntime/ },
      { name: 'jinja', test: /node_modules[\\/]@huggingface[\\/]jinja/ },
      { name: 'transformers', test: /node_modules[\\/]@huggingface[\\/]transformers/ },
    ],
  },
};

export default defineConfig({
  base: './',
  plugins: [svelte(), looserWhileDeveloping, offline()],
  worker: { format: 'es', plugins: () => [leanShaders], rolldownOptions: { output } },
  build: { target: 'es2023', assetsInlineLimit: 0, rolldownOptions: { output } },
});
