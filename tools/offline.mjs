/**
 * The last step of a build: lists what was built, with a hash each, and bundles the service worker with that list as dist/sw.js. What is loaded
 * only when used (the reference runtime, the helper models' library) is listed apart: it is kept when it is first used.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** vite.config.ts gives these parts chunks by these names; the runtime's WebAssembly keeps its own. */
export const LAZY = /(^|\/)(onnxruntime|transformers|ort)[-.][^/]*$/;
const NOT_NEEDED = /(^sw\.js$|\.map$|(^|\/)\.)/;

/**
 * @param {string} folder
 * @returns {Promise<import('../workers/precache').Manifest>}
 */
export async function manifestOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).split(sep).join('/').replace(/^\/+/, ''))
    .filter((path) => !NOT_NEEDED.test(path))
    .sort();
  /** @type {Record<string, string>} */
  const files = {};
  for (const path of paths) {
    if (LAZY.test(path)) continue;
    files[path === 'index.html' ? '' : path] = createHash('sha256')
      .update(await readFile(join(folder, path)))
      .digest('hex');
  }
  const lazy = paths.filter((path) => LAZY.test(path));
  const version = createHash('sha256')
    .update(JSON.stringify([files, lazy]))
    .digest('hex')
    .slice(0, 16);
  return { version, files, lazy };
}

/** @returns {import('vite').Plugin} */
export function offline() {
  let folder = '';
  return {
    name: 'loupe:offline',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    closeBundle: {
      order: 'post',
      sequential: true,
      async handler() {
        const manifest = await manifestOf(folder);
        await build({
          configFile: false,
          publicDir: false,
          logLevel: 'warn',
          define: { __PRECACHE__: JSON.stringify(manifest) },
          build: {
            outDir: folder,
            emptyOutDir: false,
            target: 'es2023',
            lib: {
              entry: fileURLToPath(new URL('../workers/service.worker.ts', import.meta.url)),
              formats: ['iife'],
              name: 'loupeOffline',
              fileName: () => 'sw.js',
            },
          },
        });
      },
    },
  };
}
