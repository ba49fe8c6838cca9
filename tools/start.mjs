/**
 * `npm start`: builds the lab if it is not built or older than its sources, serves it to this machine alone, and opens the browser.
 *   npm start -- [--no-open] [--port 8321]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PORT, serve } from './serve.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = ['src', 'workers', 'shaders', 'public', 'tools', 'index.html', 'vite.config.ts', 'svelte.config.js', 'package-lock.json'];

/** @param {string} path @returns {number} the time of the newest file in it */
function newest(path) {
  if (!existsSync(path)) return 0;
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function buildIfNeeded() {
  const marker = join(root, 'dist', 'sw.js');
  if (existsSync(marker) && newest(marker) >= Math.max(...SOURCES.map((name) => newest(join(root, name))))) return;
  console.log('Building …');
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  if (!existsSync(vite)) throw new Error('The parts are not installed yet: run npm ci first.');
  const { status } = spawnSync(process.execPath, [vite, 'build', '--logLevel', 'warn'], { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error('The build failed; what it said is above.');
}

/** @param {string} url Opens it with what the system opens links with; where that is missing, the printed address must do. */
function openBrowser(url) {
  const [command, ...rest] =
    process.platform === 'darwin' ? ['open', url] : process.platform === 'win32' ? ['cmd', '/c', 'start', '', url] : ['xdg-open', url];
  spawn(command ?? '', rest, { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}

/** @param {number} port Another copy of the lab may hold the usual one. */
async function serveAt(port) {
  try {
    return await serve({ root: join(root, 'dist'), port });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    console.log(`Port ${port} is taken; taking another. A browser keeps models by address, so the shelf of ${port} is not seen here.`);
    return serve({ root: join(root, 'dist') });
  }
}

try {
  const { values } = parseArgs({
    options: { open: { type: 'boolean', default: true }, port: { type: 'string', default: String(PORT) } },
    allowNegative: true,
  });
  buildIfNeeded();
  const { url } = await serveAt(Number(values.port));
  console.log(`Loupe is at ${url} (Ctrl-C ends it). It needs a browser with WebGPU: a current Chrome, Edge, Firefox or Safari.`);
  if (values.open) openBrowser(url);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
