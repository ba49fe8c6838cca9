/** Another server on another port that would gladly answer anyone, and counts whoever reaches it. And every way a script has to try. */
import { createServer } from 'node:http';

export interface Stranger {
  origin: string;
  hits: string[];
  close(): Promise<void>;
}

export async function startStranger(): Promise<Stranger> {
  const hits: string[] = [];
  const server = createServer((request, response) => {
    hits.push(`${request.method ?? ''} ${request.url ?? ''}`);
    response.writeHead(200, {
      'access-control-allow-origin': '*',
      'access-control-allow-headers': '*',
      'cross-origin-resource-policy': 'cross-origin',
      'content-type': (request.url ?? '').includes('script') ? 'text/javascript' : 'text/plain',
    });
    response.end('0;');
  });
  server.on('upgrade', (request, socket) => {
    hits.push(`upgrade ${request.url ?? ''}`);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    hits,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a script got from its attempts: 'blocked', or what happened instead. Runs in a page or in a worker, so it stands alone. */
export async function attempt(origin: string): Promise<Record<string, string>> {
  const scope = globalThis as unknown as { document?: Document };
  const patience = <T>(work: Promise<T>): Promise<T | 'blocked'> =>
    Promise.race([work, new Promise<'blocked'>((resolve) => setTimeout(() => resolve('blocked'), 3000))]);
  const tries: Record<string, () => Promise<string>> = {
    fetch: () => fetch(`${origin}/fetch`).then((response) => `answered ${response.status}`),
    'fetch, no-cors': () => fetch(`${origin}/no-cors`, { mode: 'no-cors' }).then((response) => `answered ${response.type}`),
    'fetch, POST': () =>
      fetch(`${origin}/post`, { method: 'POST', body: 'x', mode: 'no-cors' }).then((response) => `answered ${response.type}`),
    XMLHttpRequest: () =>
      new Promise((resolve) => {
        const request = new XMLHttpRequest();
        request.onload = () => resolve(`answered ${request.status}`);
        request.onerror = () => resolve('blocked');
        request.open('GET', `${origin}/xhr`);
        request.send();
      }),
    WebSocket: () =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${origin.replace('http', 'ws')}/socket`);
        socket.onopen = () => resolve('opened');
        socket.onerror = () => resolve('blocked');
      }),
    EventSource: () =>
      new Promise((resolve) => {
        const source = new EventSource(`${origin}/events`);
        source.onopen = () => resolve('opened');
        source.onerror = () => {
          source.close();
          resolve('blocked');
        };
      }),
    'import()': () => import(/* @vite-ignore */ `${origin}/script.js`).then(() => 'ran'),
    'a worker of its own': () =>
      new Promise((resolve) => {
        const code = `fetch(${JSON.stringify(`${origin}/nested`)}).then(() => postMessage('answered'), () => postMessage('blocked'));`;
        const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
        worker.onmessage = ({ data }: MessageEvent<string>) => resolve(data);
        worker.onerror = () => resolve('blocked');
      }),
  };
  if (scope.document) {
    const { document } = scope;
    const element = (tag: string, attributes: Record<string, string>): Promise<string> =>
      new Promise((resolve) => {
        const made = document.createElement(tag);
        made.addEventListener('load', () => resolve(tag === 'iframe' ? 'blocked' : 'loaded'));
        made.addEventListener('error', () => resolve('blocked'));
        for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
        document.body.append(made);
      });
    tries['sendBeacon'] = async () => {
      navigator.sendBeacon(`${origin}/beacon`, 'x');
      return new Promise((resolve) => setTimeout(() => resolve('blocked'), 300));
    };
    tries['image'] = () => element('img', { src: `${origin}/image.png` });
    tries['script'] = () => element('script', { src: `${origin}/script.js` });
    tries['style sheet'] = () => element('link', { rel: 'stylesheet', href: `${origin}/style.css` });
    tries['prefetch'] = () => element('link', { rel: 'prefetch', href: `${origin}/prefetch` });
    tries['iframe'] = () => element('iframe', { src: `${origin}/frame` });
    tries['video'] = () => element('video', { src: `${origin}/video.mp4` });
    tries['form'] = () =>
      new Promise((resolve) => {
        const form = document.createElement('form');
        form.action = `${origin}/form`;
        form.target = '_self';
        document.body.append(form);
        form.submit();
        setTimeout(() => resolve('blocked'), 300);
      });
  }
  const got: Record<string, string> = {};
  for (const [name, work] of Object.entries(tries)) {
    try {
      got[name] = await patience(work());
    } catch {
      got[name] = 'blocked';
    }
  }
  return got;
}
