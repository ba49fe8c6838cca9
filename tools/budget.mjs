/**
 * How much JavaScript a person waits for: the page's entry, everything it imports statically or preloads, and the same for the two workers,
 * gzipped, as measured in dist/. Fails above the budget, or when a part that must be loaded only when used is among it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parseAst } from 'vite';
import { LAZY } from './offline.mjs';

export const BUDGET = 250_000;
const WORKERS = ['engine.worker', 'files.worker'];

/** Marks that the two heavy parts carry through minification, in case one of them ends up in a chunk of another name. */
const HEAVY = /ort-wasm-simd-threaded|onnxruntime-web\/webgpu|text-classification.{0,400}sentiment-analysis/s;

/**
 * @param {string} html
 * @returns {string[]} scripts and module preloads that the page itself names, relative to it
 */
export function namedByPage(html) {
  const tags = html.matchAll(/<script\b[^>]*\bsrc="([^"]+)"|<link\b(?=[^>]*\brel="modulepreload")[^>]*\bhref="([^"]+)"/g);
  return [...tags].map(([, script, preload]) => posix.normalize(script ?? preload ?? ''));
}

/**
 * @param {string} code an ES module
 * @returns {string[]} what it imports before it can run
 */
export function staticImports(code) {
  return parseAst(code).body.flatMap((statement) => {
    const source = 'source' in statement ? statement.source : undefined;
    return source && typeof source.value === 'string' ? [source.value] : [];
  });
}

/**
 * @param {string} folder the built site
 * @returns {{ path: string; bytes: number; gzipped: number; for: string }[]}
 */
export function measure(folder) {
  const built = readdirSync(join(folder, 'assets'));
  const workers = WORKERS.map((name) => {
    const file = built.find((file) => file.startsWith(`${name}-`) && file.endsWith('.js'));
    if (file === undefined) throw new Error(`dist/assets holds no ${name}`);
    return { name, path: `assets/${file}` };
  });
  const entries = [...namedByPage(readFileSync(join(folder, 'index.html'), 'utf8')).map((path) => ({ name: 'page', path })), ...workers];
  /** @type {Map<string, { path: string; bytes: number; gzipped: number; for: string }>} */
  const rows = new Map();
  /** @param {string} path @param {string} name */
  const visit = (path, name) => {
    if (rows.has(path)) return;
    const code = readFileSync(join(folder, path));
    rows.set(path, { path, bytes: code.length, gzipped: gzipSync(code, { level: 9 }).length, for: name });
    for (const source of staticImports(code.toString())) visit(posix.join(posix.dirname(path), source), name);
  };
  for (const { name, path } of entries) visit(path, name);
  return [...rows.values()];
}

/**
 * @param {string} folder
 * @returns {string[]} what is wrong; prints the table
 */
export function check(folder) {
  const rows = measure(folder);
  const kb = (/** @type {number} */ bytes) => (bytes / 1000).toFixed(1).padStart(8);
  console.log('JavaScript before the bench is usable (kB)\n     raw  gzipped  for            file');
  for (const row of rows) console.log(`${kb(row.bytes)} ${kb(row.gzipped)}  ${row.for.padEnd(13)}  ${row.path}`);
  const total = rows.reduce((sum, row) => sum + row.gzipped, 0);
  console.log(`         ${kb(total)}  of ${kb(BUDGET).trim()}`);
  const wrong = rows
    .filter((row) => LAZY.test(row.path) || HEAVY.test(readFileSync(join(folder, row.path), 'utf8')))
    .map((row) => `${row.path} holds a part that must be loaded only when used`);
  if (total > BUDGET) wrong.push(`${kb(total).trim()} kB is over the budget`);
  return wrong;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const wrong = check(join(dirname(fileURLToPath(import.meta.url)), '..', 'dist'));
  for (const line of wrong) console.error(line);
  if (wrong.length > 0) process.exitCode = 1;
}
