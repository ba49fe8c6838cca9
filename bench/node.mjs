/**
 * The same engine under Node with Dawn (Chrome's WebGPU, npm's `webgpu`), for machines with a GPU but without a browser or a network:
 * prefill and decode, counted and as a share of the copy bandwidth, and the kernel variants against each other. No peer runs here.
 *   node bench/node.mjs --build                     where the packages are: writes bench/out/node/, which needs nothing beside it
 *   DAWN=…/webgpu/index.js node bench/node.mjs      where the GPU is [--small] [--no-kernels] [--rounds 3] [--tokens 32] [--variants …]
 */
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    build: { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
    'no-kernels': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '32' },
    variants: { type: 'string' },
  },
});
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const bundle = here('./out/node/node-entry.mjs');

async function bundleIt() {
  const { build } = await import('vite');
  await build({
    configFile: false,
    root: here('..'),
    logLevel: 'warn',
    publicDir: false,
    ssr: { noExternal: true },
    build: {
      ssr: here('./node-entry.ts'),
      target: 'node20',
      outDir: here('./out/node'),
      emptyOutDir: true,
      rolldownOptions: { output: { entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' } },
    },
  });
}

async function measure() {
  const entry = process.env['DAWN'];
  if (!entry) throw new Error('DAWN must name the index.js of npm’s “webgpu”.');
  const { create, globals } = await import(pathToFileURL(entry).href);
  Object.assign(globalThis, globals);
  // Kept in scope to the end: Dawn goes when the object from create() is collected.
  const gpu = create([]);
  /** @type {typeof import('./node-entry')} */
  const { measureAll, markdown } = await import(pathToFileURL(bundle).href);
  const report = await measureAll(
    gpu,
    `In Node ${process.version} with Dawn`,
    {
      small: values.small,
      peers: [],
      kernels: !values['no-kernels'],
      rounds: Number(values.rounds),
      tokens: Number(values.tokens),
      ...(values.variants === undefined ? {} : { variants: values.variants }),
    },
    (line) => console.error(`  ${line}`),
  );
  console.log(markdown(report));
  return gpu;
}

if (values.build || !existsSync(bundle)) await bundleIt();
if (!values.build) {
  await measure();
  // Dawn's threads would keep Node alive.
  process.exit(0);
}
