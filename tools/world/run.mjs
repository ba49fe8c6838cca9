/** Runs the world's TypeScript under Node: `node tools/world/run.mjs <command> [--option value …]`; see cli.ts. */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const { module } = await runnerImport(fileURLToPath(new URL('cli.ts', import.meta.url)), { configFile: false, logLevel: 'error' });
await module.main(process.argv.slice(2));
