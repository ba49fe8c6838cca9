/**
 * The house's one-way rule: src → workers → shaders, and inside workers: experiments → dictionary, model → kernels → gpu; library → formats.
 * Nothing imports upward, nothing imports sideways across experiments/*, and what ships never imports tests, tools or bench.
 * The page takes types from anywhere in workers, and values from the two doors alone: workers/entries and workers/errors.
 */
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';

/** Each room of workers/ and the rooms that it may take values from, beside itself. The files at the root of workers/ are in `root`. */
/** @type {Record<string, string[]>} */
const ROOMS = {
  root: ['experiments', 'dictionary', 'model', 'kernels', 'gpu', 'library', 'formats', 'shaders'],
  experiments: ['dictionary', 'model', 'kernels', 'gpu', 'shaders'],
  dictionary: ['kernels', 'gpu', 'shaders'],
  model: ['kernels', 'gpu', 'shaders'],
  kernels: ['gpu', 'shaders'],
  gpu: ['shaders'],
  library: ['formats'],
  formats: [],
};

/**
 * What lies above what. A type may also be taken from a neighbour (the dictionaries name the model's hooks), never from above.
 * The shelf and the formats know the families' tables and the form of a dictionary, which are data: what tensors a checkpoint must hold, what a
 * dropped dictionary is turned into.
 */
/** @type {Record<string, string[]>} */
const NEIGHBOURS = { dictionary: ['model'], model: ['dictionary'], library: ['model'], formats: ['model', 'dictionary'] };
const TABLES = /^workers\/(model\/(families\/|families$|family$|spec$)|dictionary\/spec$)/;
const DOORS = ['workers/entries', 'workers/errors'];
/** Files at the root of workers/ that every room may take values from; the others compose rooms and stay above them. */
const COMMON = ['workers/errors', 'workers/port', 'workers/api', 'workers/contract'];

/** @param {string} path */
const withoutExtension = (path) => path.replace(/\.(svelte\.ts|d\.ts|ts|js|mjs|svelte|wgsl)$/, '');

/** @param {string} path @returns {string} the room of workers/ that a path lies in */
const roomOf = (path) => {
  const [, room, deeper] = path.split('/');
  return room !== undefined && deeper !== undefined ? room : 'root';
};

/**
 * Why `from` may not import `to`, or undefined where it may. Paths are relative to the repo, with forward slashes.
 * @param {string} from
 * @param {string} to
 * @param {boolean} typeOnly
 * @returns {string | undefined}
 */
export function forbidden(from, to, typeOnly) {
  const [here = ''] = from.split('/');
  const [there = ''] = to.split('/');
  if (here !== 'src' && here !== 'workers') return undefined;
  if (['tests', 'tools', 'bench'].includes(there)) return `what ships must not import from ${there}/`;
  if (here === 'src') {
    if (there === 'shaders') return 'the page does not touch shaders';
    if (there !== 'workers' || typeOnly || DOORS.includes(withoutExtension(to))) return undefined;
    return `the page takes only types from workers/, and values from ${DOORS.join(' and ')}`;
  }
  if (there === 'src') return 'workers/ lies below src/ and must not import from it';
  const room = roomOf(from);
  const allowed = ROOMS[room];
  if (!allowed) return `workers/${room} is not a room this rule knows; add it to tools/lint/one-way.js with what it may import`;
  if (there === 'shaders') return allowed.includes('shaders') ? undefined : `workers/${room} does not touch shaders`;
  if (there !== 'workers') return undefined;
  const target = roomOf(to);
  if (target === 'root') {
    if (room === 'root' || typeOnly || COMMON.includes(withoutExtension(to))) return undefined;
    return `workers/${room} lies below ${to}; of the files at the root of workers/ it may take values only from ${COMMON.join(', ')}`;
  }
  if (target === room) return room === 'experiments' ? sideways(from, to) : undefined;
  if (allowed.includes(target)) return undefined;
  const neighbour = NEIGHBOURS[room]?.includes(target) ?? false;
  if (neighbour && (typeOnly || ((room === 'library' || room === 'formats') && TABLES.test(withoutExtension(to))))) return undefined;
  return `workers/${room} must not import from workers/${target}: dependencies point one way`;
}

/** @param {string} from @param {string} to */
function sideways(from, to) {
  const experiment = (/** @type {string} */ path) => withoutExtension(path.split('/')[2] ?? '');
  return experiment(from) === experiment(to) ? undefined : 'experiments do not import one another: move what they share down to model/';
}

/** @param {unknown} node @returns {string | undefined} */
const literal = (node) =>
  typeof node === 'object' && node !== null && 'value' in node && typeof node.value === 'string' ? node.value : undefined;

/** @type {import('eslint').Rule.RuleModule} */
export const oneWay = {
  meta: { type: 'problem', docs: { description: 'dependencies point one way' }, messages: { no: '{{why}}.' }, schema: [] },
  create(context) {
    /** @param {string} path */
    const inRepo = (path) => relative(context.cwd, path).split(sep).join('/');
    const from = inRepo(context.filename);
    /**
     * @param {import('eslint').Rule.Node} node
     * @param {unknown} source
     * @param {boolean} typeOnly
     */
    const look = (node, source, typeOnly) => {
      const written = literal(source)?.replace(/\?.*$/, '');
      if (written === undefined || !(written.startsWith('.') || isAbsolute(written))) return;
      const to = isAbsolute(written) ? written.slice(1) : inRepo(resolve(dirname(context.filename), written));
      const why = forbidden(from, to, typeOnly);
      if (why !== undefined) context.report({ node, messageId: 'no', data: { why: why.charAt(0).toUpperCase() + why.slice(1) } });
    };
    /** `import type …`, or every single name marked as a type. @param {unknown} node */
    const types = (node) => {
      const { importKind, exportKind, specifiers } =
        /** @type {{ importKind?: string; exportKind?: string; specifiers?: { importKind?: string; exportKind?: string }[] }} */ (node);
      if (importKind === 'type' || exportKind === 'type') return true;
      const names = specifiers ?? [];
      return names.length > 0 && names.every((name) => name.importKind === 'type' || name.exportKind === 'type');
    };
    return {
      ImportDeclaration: (node) => look(node, node.source, types(node)),
      ExportNamedDeclaration: (node) => look(node, node.source, types(node)),
      ExportAllDeclaration: (node) => look(node, node.source, types(node)),
      ImportExpression: (node) => look(node, node.source, false),
      /** new URL('./other.ts', import.meta.url): a door as well. @param {import('eslint').Rule.Node} node */
      "NewExpression[callee.name='URL'][arguments.1.type='MemberExpression']": (node) =>
        look(node, /** @type {import('estree').NewExpression} */ (/** @type {unknown} */ (node)).arguments[0], false),
    };
  },
};
