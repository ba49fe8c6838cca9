/**
 * Finds a Chromium that has WebGPU, for the tests and the measurements. Playwright's own headless shell has none, so the full browser is
 * used with its new headless mode: the one that LOUPE_CHROMIUM names, one that the system has, or one in Playwright's cache.
 * Where there is none it is installed if that needs nobody's consent (root on Debian or Ubuntu); otherwise the person is told how.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'google-chrome-beta', 'microsoft-edge'];

/** @returns {string[]} */
function usualPlaces() {
  const { env, platform } = process;
  if (platform === 'darwin') {
    const apps = ['Chromium', 'Google Chrome', 'Google Chrome Canary', 'Microsoft Edge'];
    return ['/Applications', join(homedir(), 'Applications')].flatMap((folder) =>
      apps.map((app) => join(folder, `${app}.app`, 'Contents', 'MacOS', app)),
    );
  }
  if (platform === 'win32') {
    const roots = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)'], env['LOCALAPPDATA']].filter((root) => root !== undefined);
    const tails = [
      'Google\\Chrome\\Application\\chrome.exe',
      'Chromium\\Application\\chrome.exe',
      'Microsoft\\Edge\\Application\\msedge.exe',
    ];
    return roots.flatMap((root) => tails.map((tail) => join(root, tail)));
  }
  const folders = [...(env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/snap/bin'].filter((folder) => folder !== '');
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
}

/**
 * The browser to use, or undefined. Looks only; starts nothing.
 * @returns {string | undefined}
 */
export function findChromium() {
  const named = process.env['LOUPE_CHROMIUM'];
  if (named) return existsSync(named) ? named : undefined;
  return [...usualPlaces(), chromium.executablePath()].find((path) => path !== '' && existsSync(path));
}

/**
 * The switches that give WebGPU. On Linux the CPU's SwiftShader is used unless LOUPE_GPU=hardware, so that every machine computes the same.
 * @returns {string[]}
 */
export function gpuFlags() {
  if (process.platform !== 'linux') return ['--enable-unsafe-webgpu'];
  if (process.env['LOUPE_GPU'] === 'hardware') return ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-angle=vulkan'];
  return ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader'];
}

const HOW = `Loupe's tests need a full Chromium or Chrome with WebGPU, and none was found. Install one:
  Debian, Ubuntu   sudo apt-get install -y chromium
  Fedora           sudo dnf install -y chromium
  macOS            brew install --cask chromium
  Windows          winget install Google.Chrome
  anywhere         npx playwright install chromium
or set LOUPE_CHROMIUM to the path of the one to use.`;

/** Installs the distribution's own package where that needs no password and no question. */
function install() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return;
  console.log('No Chromium found; installing the system’s package.');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  /** @type {import('node:child_process').SpawnSyncOptions} */
  const options = { env, stdio: ['ignore', 'inherit', 'inherit'], timeout: 8 * 60_000 };
  spawnSync('apt-get', ['update'], options);
  spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], options);
}

/**
 * Starts the browser once and asks it for an adapter.
 * @param {string} executablePath
 * @returns {Promise<string>} what the adapter calls itself
 */
async function describeAdapter(executablePath) {
  const browser = await chromium.launch({ executablePath, args: gpuFlags() });
  try {
    const page = await browser.newPage();
    // A secure context is needed, and no network: the answer is made up here.
    await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
    await page.goto('http://localhost/');
    const adapter = await page.evaluate(async () => {
      const found = await navigator.gpu?.requestAdapter();
      return found ? `${found.info.vendor} ${found.info.architecture}`.trim() : undefined;
    });
    if (adapter === undefined) throw new Error(`it offers no WebGPU adapter (switches: ${gpuFlags().join(' ')})`);
    return `${browser.version()}, WebGPU on ${adapter}`;
  } finally {
    await browser.close();
  }
}

/**
 * A Chromium that was seen to have WebGPU; installs one where it can.
 * @returns {Promise<{ path: string; about: string }>} Rejects with a message that says what to do.
 */
export async function ensureChromium() {
  const named = process.env['LOUPE_CHROMIUM'];
  if (named && !existsSync(named)) throw new Error(`LOUPE_CHROMIUM names ${named}, and there is no such file.`);
  if (findChromium() === undefined) install();
  const path = findChromium();
  if (path === undefined) throw new Error(HOW);
  try {
    return { path, about: await describeAdapter(path) };
  } catch (error) {
    throw new Error(`${path} was found but cannot be used: ${error instanceof Error ? error.message : String(error)}\n${HOW}`, {
      cause: error,
    });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { path, about } = await ensureChromium();
  console.log(`${path} (${about})`);
}
