/**
 * A plain static server: a folder, the right media types, and no header that a plain host would not send. What works here works on any
 * static host. It answers GET and HEAD only, stays inside its folder (links included), and can serve under a sub-path.
 *   node tools/serve.mjs dist [--port 8321] [--base /loupe/]
 */
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

/** What the shelf keeps belongs to an origin, so the port stays the same from one start to the next. */
export const PORT = 8321;

const TYPES = new Map(
  Object.entries({
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.json': 'application/json; charset=utf-8',
    '.webmanifest': 'application/manifest+json; charset=utf-8',
    '.wasm': 'application/wasm',
    '.svg': 'image/svg+xml',
    '.png': 'image/png',
    '.ico': 'image/x-icon',
    '.woff2': 'font/woff2',
    '.txt': 'text/plain; charset=utf-8',
  }),
);

/**
 * The file that a request's path names, or a status. Nothing outside `root` is ever named, however the path is written.
 * @param {string} root the folder's real path
 * @param {string} base starts and ends with a slash
 * @param {string} pathname as it came, still encoded
 * @returns {Promise<{ file: string; bytes: number } | { status: 400 | 403 | 404 } | { redirect: string }>}
 */
export async function locate(root, base, pathname) {
  if (`${pathname}/` === base) return { redirect: base };
  if (!pathname.startsWith(base)) return { status: 404 };
  let path;
  try {
    path = decodeURIComponent(pathname.slice(base.length));
  } catch {
    return { status: 400 };
  }
  if (/[\0\\]/.test(path)) return { status: 400 };
  if (path.split('/').includes('..')) return { status: 403 };
  try {
    let file = await realpath(join(root, path));
    if (file !== root && !file.startsWith(root + sep)) return { status: 403 };
    let found = await stat(file);
    if (found.isDirectory()) {
      if (path !== '' && !path.endsWith('/')) return { redirect: `${pathname}/` };
      file = join(file, 'index.html');
      found = await stat(file);
    }
    return found.isFile() ? { file, bytes: found.size } : { status: 404 };
  } catch {
    return { status: 404 };
  }
}

/**
 * @param {{ root: string; base?: string; port?: number; host?: string }} options port 0 takes any free one
 * @returns {Promise<{ url: string; origin: string; close(): Promise<void> }>}
 */
export async function serve({ root, base = '/', port = 0, host = '127.0.0.1' }) {
  const folder = await realpath(root);
  const server = createServer((request, response) => {
    /** @param {number} status @param {Record<string, string>} [headers] */
    const end = (status, headers = {}) => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers });
      response.end(request.method === 'HEAD' ? undefined : `${status}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      end(405, { allow: 'GET, HEAD' });
      return;
    }
    // Not `new URL`: it would resolve the dots that locate() must see.
    const [pathname = '/'] = (request.url ?? '/').split(/[?#]/, 1);
    void locate(folder, base, pathname).then((found) => {
      if ('status' in found) return end(found.status);
      if ('redirect' in found) return end(301, { location: found.redirect });
      const type = TYPES.get(extname(found.file).toLowerCase()) ?? 'application/octet-stream';
      response.writeHead(200, { 'content-type': type, 'content-length': found.bytes });
      if (request.method === 'HEAD') return response.end();
      return createReadStream(found.file)
        .on('error', () => response.destroy())
        .pipe(response);
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(undefined));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  const origin = `http://${host}:${address.port}`;
  return {
    url: origin + base,
    origin,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: 'string', default: String(PORT) }, base: { type: 'string', default: '/' } },
  });
  try {
    const base = `/${values.base.replace(/^\/+|\/+$/g, '')}/`.replace('//', '/');
    const { url } = await serve({ root: positionals[0] ?? 'dist', port: Number(values.port), base });
    console.log(`Serving ${positionals[0] ?? 'dist'} at ${url} (Ctrl-C ends it)`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    const why = code === 'EADDRINUSE' ? `port ${values.port} is taken; choose one with --port` : String(error);
    console.error(code === 'ENOENT' ? 'There is nothing to serve yet: npm run build makes it.' : `Cannot serve: ${why}`);
    process.exitCode = 1;
  }
}
