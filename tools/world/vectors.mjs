/**
 * `npm run world:vectors`: makes public/demo/vectors.safetensors (mood, refusal, Spanish) for the shipped model, through the engine.
 *   npm run world:vectors -- [--only mood] [--model build/world/model] [--out file] [--no-build]
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, runnerImport } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));
const args = process.argv.slice(2).filter((argument) => argument !== '--no-build');
if (args.length === process.argv.length - 2 || !existsSync(join(root, 'dist', 'index.html'))) await build({ root, logLevel: 'error' });
const { module } = await runnerImport(fileURLToPath(new URL('check/make-vectors.ts', import.meta.url)), {
  configFile: false,
  logLevel: 'error',
});
await module.main(root, args);
