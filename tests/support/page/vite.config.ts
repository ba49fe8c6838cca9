/**
 * Builds the page over toy workers, to look at it where there is no GPU:
 *   npx vite build --config tests/support/page/vite.config.ts
 * The output is for screenshots and for axe only; nothing here is shipped.
 */
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here('.'),
  base: './',
  plugins: [
    svelte({ configFile: false }),
    {
      name: 'toy-workers',
      enforce: 'pre',
      resolveId: (source: string) => (source.endsWith('workers/entries') ? here('./fake-entries.ts') : null),
    },
  ],
  build: { outDir: here('../../../.cache/page'), emptyOutDir: true, target: 'es2023', assetsInlineLimit: 0 },
});
