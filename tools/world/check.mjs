/**
 * `npm run world:check`: is what is said about the demo's model true of the shipped files, read by Loupe's own engine in a browser?
 *   npm run world:check -- [attribution | --only facts,mood] [--smaller 10] [--pages 2] [--model build/world/model] [--no-build]
 * Exits with 1 where any claim does not hold. tools/world/check has one file a claim.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, runnerImport } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));
const args = process.argv.slice(2).filter((argument) => argument !== '--no-build');
if (args.length === process.argv.length - 2 || !existsSync(join(root, 'dist', 'index.html'))) await build({ root, logLevel: 'error' });
const { module } = await runnerImport(fileURLToPath(new URL('check/main.ts', import.meta.url)), { configFile: false, logLevel: 'error' });
await module.main(root, args);
