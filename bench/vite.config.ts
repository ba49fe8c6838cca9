/** Builds the bench's page: apart from the lab's own build, and no part of dist/. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('./page', import.meta.url)),
  base: './',
  logLevel: 'warn',
  build: { target: 'es2023', outDir: '../out/page', emptyOutDir: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 4096 },
});
