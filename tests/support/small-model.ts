/** A small spec with awkward widths, its hooks, and edits with everything left at rest. */
import type { EngineEdit } from '../../workers/contract';
import { hooksOf } from '../../workers/model/hooks';
import { layoutOf } from '../../workers/model/layout';
import { PLAIN_BLOCK, type ModelSpec } from '../../workers/model/spec';

export const SMALL: ModelSpec = {
  family: 'gpt2',
  layers: 2,
  dModel: 67,
  heads: 3,
  kvHeads: 3,
  dHead: 5,
  dMlp: 131,
  vocab: 50,
  vocabOut: 50,
  context: 64,
  embedScale: 1,
  positions: { kind: 'learned' },
  norm: { kind: 'layer', eps: 1e-5 },
  block: PLAIN_BLOCK,
  attention: { scale: 1, divideByLayer: false, cap: 0, qkNorm: false, windows: [0, 0] },
  mlp: { gated: false, act: 'gelu_new' },
  bias: { qkv: true, out: true, mlpIn: true, mlpOut: true, unembed: false },
  logitCap: 0,
  tied: true,
};

export const HOOKS = hooksOf(SMALL, layoutOf(SMALL));

type What = EngineEdit extends infer Each
  ? Each extends EngineEdit
    ? Omit<Each, 'at' | 'where' | 'skipSpecial' | 'head' | 'strength' | 'enabled'>
    : never
  : never;
export type Rest = Partial<Pick<EngineEdit, 'where' | 'skipSpecial' | 'head' | 'strength' | 'enabled'>>;

export const editOf = (at: string, what: What, rest: Rest = {}): EngineEdit => ({
  at: at as EngineEdit['at'],
  where: 'all',
  skipSpecial: false,
  strength: 1,
  enabled: true,
  ...rest,
  ...what,
});
