/**
 * The open kernels: norm, rotation, activation, sum, and the edits at the hooks between them. Each runs a
 * workgroup a row and applies its hooks' edits on the way, so that an edit in the open costs no dispatch of its own.
 */
import { f32bits, type Bind, type Dispatch } from '../gpu/commands';

/** Where a hook's edits lie in the edits buffer: first word, how many. */
export interface Site {
  first: number;
  count: number;
}
export const NO_SITE: Site = { first: 0, count: 0 };

interface Base {
  rows: number;
  hook: string;
}
const dispatch = (
  kernel: string,
  base: Base,
  rest: { defines?: Record<string, number | string>; bind: string[]; params: number[]; bytes: number },
): Dispatch => ({
  op: 'dispatch',
  kernel,
  variant: 'row',
  file: kernel,
  defines: rest.defines ?? {},
  constants: {},
  bind: rest.bind.map((buffer): Bind => ({ buffer })),
  params: rest.params,
  groups: [base.rows, 1, 1],
  hook: base.hook,
  bytes: rest.bytes,
});

export interface NormCall extends Base {
  kind: 'layer' | 'rms';
  x: string;
  row0?: number;
  out: string;
  d: number;
  stride: number;
  gain: number;
  eps: number;
  /** Adds to `out` instead of writing it. */
  residual?: boolean;
  /** Writes hook_scale and hook_normalized too. */
  open?: { scale: string; normalized: string; scaleSite: Site; normalizedSite: Site };
  /** Without barriers, a thread a row, unless its hooks are edited. */
  serial?: boolean;
}
/** Rows of a workgroup of shaders/norm-serial.wgsl. */
const SERIAL_ROWS = 8;

export function norm(call: NormCall): Dispatch {
  const { open } = call;
  const edited = open !== undefined && open.scaleSite.count + open.normalizedSite.count > 0;
  const words = [call.row0 ?? 0, call.gain / 4, call.d, f32bits(call.eps)];
  const forms = { NORM: call.kind, OPEN: open ? 1 : 0, RESIDUAL: call.residual ? 1 : 0 };
  const common = {
    bind: [call.x, 'vecs', call.out, ...(open ? [open.scale, open.normalized] : []), ...(edited ? ['rows', 'edits'] : [])],
    bytes: 8 * call.rows * call.stride * (open ? 2 : 1),
  };
  if (call.serial && !edited)
    return {
      ...dispatch('norm', call, { ...common, defines: forms, params: [...words, call.rows, call.stride / 4, 0, 0] }),
      file: 'norm-serial',
      variant: 'serial',
      groups: [Math.ceil(call.rows / SERIAL_ROWS), 1, 1],
    };
  return dispatch('norm', call, {
    ...common,
    defines: { ...forms, EDIT: edited ? 1 : 0 },
    params: [...words, ...siteWords(open?.scaleSite), ...siteWords(open?.normalizedSite), call.stride / 4],
  });
}

const siteWords = (site: Site = NO_SITE): number[] => [site.first, site.count];

export interface EditCall extends Base {
  x: string;
  site: Site;
  rowStride: number;
  stride: number;
  width: number;
  units: number;
  causal?: boolean;
}
/** Edits alone, in place: for hooks whose buffer a fused kernel wrote. */
export function edit(call: EditCall): Dispatch {
  return dispatch('edit', call, {
    bind: [call.x, 'rows', 'edits'],
    params: [...siteWords(call.site), 0, call.rowStride, call.stride, call.width, call.causal ? 1 : 0, 0],
    bytes: 8 * call.rows * call.units * call.width,
  });
}

export interface AddCall extends Base {
  part: string;
  resid: string;
  width: number;
  stride: number;
  site: Site;
  /** The part is the position table's row, and these are the edits of the token embedding that lies in resid. */
  embedding?: Site;
}
export function add(call: AddCall): Dispatch {
  const { embedding } = call;
  const edited = call.site.count > 0 || embedding !== undefined;
  return dispatch('add', call, {
    defines: { EDIT: edited ? 1 : 0, POS: embedding ? 1 : 0 },
    bind: [call.part, call.resid, ...(edited ? ['rows', 'edits'] : []), ...(embedding ? ['w.pos'] : [])],
    params: [...siteWords(call.site), call.width, call.stride, ...siteWords(embedding), 0, 0],
    bytes: 12 * call.rows * call.width,
  });
}

export interface ActCall extends Base {
  pre: string;
  post: string;
  act: string;
  gated: boolean;
  width: number;
  stride: number;
  second: number;
  site: Site;
  linearSite: Site;
}
export function act(call: ActCall): Dispatch {
  const edited = call.site.count + call.linearSite.count > 0;
  return dispatch('act', call, {
    defines: { ACT: call.act, GATED: call.gated ? 1 : 0, EDIT: edited ? 1 : 0 },
    bind: [call.pre, call.post, ...(edited ? ['rows', 'edits'] : [])],
    params: [...siteWords(call.site), ...siteWords(call.linearSite), call.width, call.stride, call.second, 0],
    bytes: (call.gated ? 12 : 8) * call.rows * call.width,
  });
}

export interface RopeCall extends Base {
  heads: number;
  kvHeads: number;
  dHead: number;
  dHeadPadded: number;
  rot: number;
  /** Words of vecs: the gains of q and of k. */
  norm?: { q: number; k: number; eps: number } | undefined;
  /** The table of cos and sin. */
  table: string;
  kv: string;
  second: number;
  cacheSecond: number;
  cap: number;
  /** Where the turned k go, with their hooks' edits; absent where nobody looks: then they go to the cache alone. */
  open?: { sites: { q: Site; k: Site; v: Site; rotQ: Site; rotK: Site } } | undefined;
}
/** The raw q, k and v to the turned q and the cache. The turned q lie in `turned`, and, in the open, the turned k after them. */
export function rope(call: RopeCall): Dispatch {
  const { rot, norm, open } = call;
  const turns = rot > 0 || norm !== undefined;
  const turnedK = turnedKeys(call);
  const names = ['q', 'kvraw', call.kv, 'rows', open && 'edits', turns && 'turned', rot > 0 && call.table, norm && 'vecs'];
  const sites = open ? [open.sites.q, open.sites.k, open.sites.v, open.sites.rotQ, open.sites.rotK] : new Array<Site>(5).fill(NO_SITE);
  return {
    op: 'dispatch',
    kernel: 'rope',
    variant: open ? 'row' : 'head',
    file: 'rope',
    defines: {
      HEADS: `${call.heads}u`,
      KV: `${call.kvHeads}u`,
      DH: `${call.dHead}u`,
      DHP: `${call.dHeadPadded}u`,
      ROT: rot ? `${rot}u` : 0,
      NORM: norm ? 1 : 0,
      OPEN: open ? 1 : 0,
      TURNS: turns ? 1 : 0,
    },
    constants: {},
    bind: names.map((buffer) => (buffer ? { buffer } : null)),
    params: [
      call.second,
      call.cacheSecond,
      call.cap,
      turnedK,
      norm?.q ?? 0,
      norm?.k ?? 0,
      f32bits(norm?.eps ?? 0),
      0,
      ...sites.flatMap((site) => siteWords(site)),
    ],
    groups: [call.rows, open ? 1 : call.heads + call.kvHeads, 1],
    hook: call.hook,
    bytes: 12 * call.rows * (call.heads + 2 * call.kvHeads) * call.dHead,
  };
}
/** The word of `turned` where the keys start. */
export const turnedKeys = (call: { rows: number; heads: number; dHeadPadded: number }): number => call.rows * call.heads * call.dHeadPadded;
