/**
 * `npm test`: everything that must hold, from a fresh clone; a step that fails does not hide the next. What needs no browser runs beside the kernels' tests,
 * whose compiler has one core busy; the rest runs alone, one step after another, since it measures times. The last line counts
 * what was really executed: each test of each runner as its own report gives it, and one for each step that is not a test run. Tests that do not
 * exist are not counted as passed. Each step has a deadline; what outlives it is ended with all it started, and counts as failed.
 *   npm test -- [step …]     runs only these steps, for example: npm test -- lint unit
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureChromium } from './chromium.mjs';
import { countPlaywright, countVitest, total } from './count.mjs';

/** @typedef {import('./count.mjs').Counts} Counts */
/**
 * `output`: 'inherit' as it comes, 'pipe' all of it once the step has ended.
 * @typedef {'inherit' | 'pipe'} Output
 * @typedef {{ name: string; run: (output: Output) => Promise<Counts> }} Step
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const reports = join(root, '.cache', 'reports');
const started = Date.now();
/** The whole is to end in half an hour on two quiet cores. What takes longer than this hangs, or shares the machine: it is ended; a step gets no more than what is left. */
const WHOLE = 36 * 60_000;

const bin = (/** @type {string[]} */ ...path) => join(root, 'node_modules', ...path);
const seconds = (/** @type {number} */ since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/**
 * Runs one of Node's programs to its end or its deadline.
 * @param {string[]} args
 * @param {number} minutes
 * @param {Output} output
 * @param {Record<string, string>} [env]
 * @returns {Promise<boolean>} whether it ended well
 */
function node(args, minutes, output, env = {}) {
  const limit = Math.min(minutes * 60_000, WHOLE - (Date.now() - started));
  if (limit <= 0) {
    console.error('No time is left for this step.');
    return Promise.resolve(false);
  }
  const posix = process.platform !== 'win32';
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', output, output],
    env: { ...process.env, ...env },
    detached: posix,
  });
  const { pid } = child;
  /** @type {Buffer[]} */
  const kept = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (/** @type {Buffer} */ chunk) => kept.push(chunk));
  const end = () => {
    if (pid === undefined) return;
    try {
      if (posix) process.kill(-pid, 'SIGKILL');
      else spawn('taskkill', ['/pid', String(pid), '/t', '/f']);
    } catch {
      // It has just ended by itself.
    }
  };
  const interrupted = () => {
    end();
    process.exit(130);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  return new Promise((resolve) => {
    const deadline = setTimeout(() => {
      console.error(`Not done after ${Math.round(limit / 1000)} s: ended.`);
      end();
    }, limit);
    const over = (/** @type {boolean} */ well) => {
      clearTimeout(deadline);
      process.stdout.write(Buffer.concat(kept));
      process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
      resolve(well);
    };
    child.on('error', (error) => {
      console.error(error.message);
      over(false);
    });
    child.on('close', (code) => over(code === 0));
  });
}

/** @param {string[]} args @param {number} minutes @returns {Step['run']} */
const check = (args, minutes) => async (output) => {
  const well = await node(args, minutes, output);
  return { passed: well ? 1 : 0, failed: well ? 0 : 1, skipped: 0 };
};

/** @param {string} folder @param {RegExp} pattern */
const holdsTests = (folder, pattern) => {
  const path = join(root, 'tests', folder);
  return existsSync(path) && readdirSync(path, { recursive: true }).some((name) => pattern.test(String(name)));
};

/** @param {string} name @returns {unknown} undefined where the runner left no report */
function report(name) {
  try {
    return JSON.parse(readFileSync(join(reports, `${name}.json`), 'utf8'));
  } catch {
    return undefined;
  }
}

/** @param {string} project @param {number} minutes @param {() => Promise<boolean>} [ready] @returns {Step['run']} */
const vitest = (project, minutes, ready) => async (output) => {
  if (!holdsTests(project, /\.test\.ts$/)) return none(project);
  if (ready && !(await ready())) return { passed: 0, failed: 1, skipped: 0 };
  const file = join(reports, `${project}.json`);
  const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const well = await node([bin('vitest', 'vitest.mjs'), ...args], minutes, output);
  return countVitest(report(project), well);
};

/** @param {number} minutes @param {() => Promise<boolean>} ready @returns {Step['run']} */
const playwright = (minutes, ready) => async (output) => {
  if (!holdsTests('e2e', /\.spec\.ts$/)) return none('e2e');
  if (!(await ready())) return { passed: 0, failed: 1, skipped: 0 };
  const well = await node([bin('@playwright', 'test', 'cli.js'), 'test', '--reporter=list,json'], minutes, output, {
    PLAYWRIGHT_JSON_OUTPUT_FILE: join(reports, 'e2e.json'),
  });
  return countPlaywright(report('e2e'), well);
};

/** @param {string} name @returns {Counts} */
const none = (name) => {
  console.log(`There are no ${name} tests yet.`);
  return { passed: 0, failed: 0, skipped: 1 };
};

/** @type {Promise<boolean> | undefined} */
let browser;
/** Looked for once, when the first step needs it; every step that needs it fails without it. */
const chromium = () => {
  browser ??= ensureChromium().then(
    ({ path, about }) => {
      process.env['LOUPE_CHROMIUM'] = path;
      console.log(`Chromium: ${path} (${about})`);
      return true;
    },
    (/** @type {unknown} */ error) => {
      console.error(error instanceof Error ? error.message : String(error));
      return false;
    },
  );
  return browser;
};

/** @type {Step[]} */
const steps = [
  { name: 'format', run: check([bin('prettier', 'bin', 'prettier.cjs'), '--check', '.'], 5) },
  { name: 'lint', run: check([bin('eslint', 'bin', 'eslint.js'), '.'], 8) },
  { name: 'types', run: check([bin('svelte-check', 'bin', 'svelte-check'), '--tsconfig', './tsconfig.json', '--fail-on-warnings'], 8) },
  { name: 'unit', run: vitest('unit', 10) },
  { name: 'build', run: check([bin('vite', 'bin', 'vite.js'), 'build'], 6) },
  { name: 'budget', run: check([join(dirname(fileURLToPath(import.meta.url)), 'budget.mjs')], 1) },
  { name: 'gpu', run: vitest('gpu', 14, chromium) },
  { name: 'golden', run: vitest('golden', 20, chromium) },
  { name: 'e2e', run: playwright(18, chromium) },
];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`No such step: ${unknown.join(', ')}. There are: ${steps.map((step) => step.name).join(', ')}.`);
  process.exit(2);
}

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
/** @type {Map<string, [Counts, string]>} */
const results = new Map();
/** @param {readonly string[]} names @param {Output} output */
async function inTurn(names, output) {
  for (const { name, run } of steps) {
    if (!names.includes(name) || (asked.length > 0 && !asked.includes(name))) continue;
    const title = `\n── ${name} ${'─'.repeat(Math.max(0, 70 - name.length))}`;
    if (output === 'inherit') console.log(title);
    const since = Date.now();
    results.set(name, [await run(output), seconds(since)]);
    if (output === 'pipe') console.log(`${title} ended after ${seconds(since)}`);
  }
}
const alone = ['golden', 'e2e'];
const kernels = ['gpu'];
const others = steps.map(({ name }) => name).filter((name) => !alone.includes(name) && !kernels.includes(name));
await Promise.all([inTurn(kernels, 'inherit'), inTurn(others, asked.length === 1 ? 'inherit' : 'pipe')]);
await inTurn(alone, 'inherit');

console.log(`\n── summary ${'─'.repeat(63)}`);
for (const { name } of steps) {
  const [counts, time] = results.get(name) ?? [undefined, ''];
  if (!counts) continue;
  const mark = counts.failed > 0 ? 'FAILED ' : counts.passed > 0 ? 'passed ' : 'skipped';
  console.log(
    `${mark} ${name.padEnd(8)} ${String(counts.passed).padStart(5)} passed ${String(counts.failed).padStart(4)} failed ${String(counts.skipped).padStart(4)} skipped  ${time}`,
  );
}
const { passed, failed, skipped } = total([...results.values()].map(([counts]) => counts));
console.log(`Took ${seconds(started)}.`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
