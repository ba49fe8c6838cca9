import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { locate, serve } from '../../../tools/serve.mjs';

let folder = '';
let root = '';
let site: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'loupe-serve-')));
  root = join(folder, 'site');
  await mkdir(join(root, 'deep'), { recursive: true });
  await writeFile(join(folder, 'secret.txt'), 'secret');
  await writeFile(join(root, 'index.html'), '<!doctype html>page');
  await writeFile(join(root, 'deep', 'index.html'), 'deep');
  await writeFile(join(root, 'a b.js'), 'export {};');
  await writeFile(join(root, 'x.wasm'), '');
  await symlink(join(folder, 'secret.txt'), join(root, 'link.txt'));
  site = await serve({ root, base: '/lab/' });
});
afterAll(async () => {
  await site.close();
  await rm(folder, { recursive: true });
});

/** A request as written: fetch would tidy the path before it is sent. */
const raw = (path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(site.origin);
    const socket = connect(Number(port), hostname, () => socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });

describe('the plain server', () => {
  it('serves under a sub-path, with the right types and no special headers', async () => {
    const page = await fetch(`${site.url}?limits=default`);
    expect(await page.text()).toBe('<!doctype html>page');
    expect([...page.headers.keys()].sort()).toEqual(['connection', 'content-length', 'content-type', 'date', 'keep-alive']);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect((await fetch(`${site.url}a%20b.js`)).headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect((await fetch(`${site.url}x.wasm`)).headers.get('content-type')).toBe('application/wasm');
    expect((await fetch(`${site.origin}/lab`)).url).toBe(site.url);
    expect(await (await fetch(`${site.url}deep`)).text()).toBe('deep');
  });

  it('answers what is not there, and what is not asked for, as a plain host does', async () => {
    expect((await fetch(`${site.url}none.js`)).status).toBe(404);
    expect((await fetch(`${site.origin}/`)).status).toBe(404);
    expect((await fetch(site.url, { method: 'POST' })).status).toBe(405);
    const head = await fetch(site.url, { method: 'HEAD' });
    expect([head.status, await head.text(), head.headers.get('content-length')]).toEqual([200, '', '19']);
  });

  it.each([
    '/lab/../secret.txt',
    '/lab/%2e%2e/secret.txt',
    '/lab/..%2fsecret.txt',
    '/lab/deep/../../secret.txt',
    '/lab/..%5csecret.txt',
    '/lab/link.txt',
    '/lab/%00',
    '/lab/%E0%A4%A',
  ])('stays inside its folder: %s', async (path) => {
    const answer = await raw(path);
    expect(answer).toMatch(/^HTTP\/1\.1 40[034] /);
    expect(answer).not.toContain('secret\n');
  });

  it('says why it refuses', async () => {
    expect(await locate(root, '/', '/../secret.txt')).toEqual({ status: 403 });
    expect(await locate(root, '/', '/link.txt')).toEqual({ status: 403 });
    expect(await locate(root, '/', '/%')).toEqual({ status: 400 });
  });
});
