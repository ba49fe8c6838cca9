/**
 * Direct logit attribution: a logit, or the difference of two, as the sum of what each component wrote into the stream, read by model/direction.ts.
 *
 *   layer   the embeddings, each attention and each MLP, their biases within
 *   head    each head through W_O and, in Gemma 2 and 3, through the norm behind the branch with its scale held; each MLP; each branch's biases apart
 *   latent  value · (d read by the direction) for each active latent where a dictionary writes, what else it adds (b_dec, a skip connection), its error, the rest of the stream
 * and in each: the bias of ln_final, that of the unembedding, and what the edits at a hook change there, all before it as it is. Edits further inside a branch
 * (q, k, v, scores, patterns, mlp.hook_pre, its norm) count as what the branch writes, and those of what a dictionary reads as what its latents write. The parts sum to `total`, which is
 * read off the last norm's output alone: the logit before any soft-cap.
 */
import type { Attribution } from '../api-causal';
import type { EngineAttribute } from '../contract-reading';
import type { AnyDictionary } from '../dictionary/neurons';
import { LabError } from '../errors';
import { directionOf, type Branch } from '../model/direction';
import { checkIds, type Runtime } from '../model/runtime';
import { checkReadable, latentParts, measureOf, within } from './attribute/latents';
import { hooksOfBranch, placeOf, Reading } from './attribute/reading';

type Part = Attribution['parts'][number];
interface Change {
  hook: string;
  value: number;
}

/** Hooks whose edits have a part of their own. */
const OWN =
  /^(hook_embed|hook_pos_embed|ln_final\.hook_normalized|blocks\.\d+\.(hook_(resid_(pre|mid|post)|attn_out|mlp_out)|attn\.hook_z|mlp\.hook_post|ln[12]_post\.hook_normalized))$/;

export async function attribute(model: Runtime, request: EngineAttribute, dictionary?: AnyDictionary): Promise<Attribution> {
  const { spec, planner } = model;
  const { ids, position, by, correct, wrong } = request;
  checkIds(model, ids);
  for (const token of [correct, ...(wrong === undefined ? [] : [wrong])])
    if (!Number.isInteger(token) || token < 0 || token >= spec.vocabOut)
      throw new LabError('token-range', `${token} is no token that this model writes.`, `Ids go from 0 to ${spec.vocabOut - 1}.`);
  const edits = request.edits.filter(({ enabled, strength }) => enabled && strength !== 0);
  const order = [...planner.hooks.keys()];
  const all = [...new Set(edits.map(({ at }) => at))].filter((hook) => OWN.test(hook));
  const edited = dictionary ? all.filter((hook) => !within(order, dictionary.spec.hookOut, hook)) : all;
  if (dictionary) checkReadable(dictionary);
  const direction = await directionOf(model, correct, wrong);
  const taps = [...tapsOf(model, by, dictionary), ...edited.flatMap((hook) => scaleBehind(model, hook))];
  const measure = dictionary && measureOf(dictionary);
  const read = await Reading.of(model, direction, { ids, position, edits, edited, taps, ...(measure ? { measure } : {}) });
  const changes: Change[] = [];
  for (const hook of edited) {
    const was = read.before(hook);
    changes.push({
      hook,
      value: await read.readAt(
        hook,
        read.row(hook).map((each, i) => each - (was[i] ?? 0)),
      ),
    });
  }
  const parts = dictionary ? await latentParts(read, dictionary, request.top) : await componentParts(read, by === 'head', changes);
  const ends: Part[] = [
    ...changes.map(({ hook, value }) => ({ name: `edits at ${hook}`, value })),
    ...(planner.weights.vectors.has('ln_final.b') ? [{ name: 'ln_final bias', value: direction.normBias }] : []),
    ...(spec.bias.unembed ? [{ name: 'unembedding bias', value: direction.unembedBias }] : []),
  ];
  const rest = dictionary ? [{ name: 'rest of the stream', value: read.total - sum(parts) - sum(ends) }] : [];
  return { parts: [...parts, ...rest, ...ends], total: read.total, scale: read.scale, position };
}

/** What must be tapped, beside what an edit needs. */
function tapsOf({ spec }: Runtime, by: EngineAttribute['by'], dictionary: AnyDictionary | undefined): string[] {
  if (dictionary) {
    const { hookIn, hookOut } = dictionary.spec;
    const place = placeOf(hookOut);
    const inside = place?.where === 'inside' && spec.block.postNorms;
    return [hookIn, hookOut, ...(inside ? [hooksOfBranch(place.layer, place.branch).scale] : [])];
  }
  const layers = Array.from({ length: spec.layers }, (_, layer) =>
    branchesOf(spec).flatMap((branch) => {
      const { inside, scale, out } = hooksOfBranch(layer, branch);
      if (by !== 'head') return [out];
      return [branch === 'attn' ? inside : out, ...(spec.block.postNorms ? [scale] : [])];
    }),
  );
  return ['hook_embed', ...(spec.positions.kind === 'learned' ? ['hook_pos_embed'] : []), ...layers.flat()];
}

/** An edit inside a branch is read through the branch's own norm. */
function scaleBehind({ spec }: Runtime, hook: string): string[] {
  const place = placeOf(hook);
  return place?.where === 'inside' && spec.block.postNorms ? [hooksOfBranch(place.layer, place.branch).scale] : [];
}

async function componentParts(read: Reading, byHead: boolean, changes: readonly Change[]): Promise<Part[]> {
  const { spec } = read.model;
  const parts: Part[] = [{ name: 'embedding', value: read.written(read.before('hook_embed')) }];
  if (spec.positions.kind === 'learned') parts.push({ name: 'position embedding', value: read.written(read.before('hook_pos_embed')) });
  for (let layer = 0; layer < spec.layers; layer++)
    for (const branch of branchesOf(spec)) {
      const hooks = hooksOfBranch(layer, branch);
      const name = `L${layer} ${branch === 'attn' ? 'attention' : 'MLP'}`;
      const bias = byHead && (await read.behind(layer, branch)).hasBias ? await read.bias(layer, branch) : 0;
      if (byHead && branch === 'attn') parts.push(...(await headParts(read, layer, hooks.inside)));
      else {
        const own = changes.filter(({ hook }) => hook === hooks.inside || hook === hooks.norm || hook === hooks.out);
        parts.push({ name, layer, value: read.written(read.row(hooks.out)) - sum(own) - bias });
      }
      if (byHead && (await read.behind(layer, branch)).hasBias) parts.push({ name: `${name} bias`, layer, value: bias });
    }
  return parts;
}

async function headParts(read: Reading, layer: number, hook: string): Promise<Part[]> {
  const { heads, dHead } = read.model.spec;
  const [reads, z] = [await read.inside(layer, 'attn'), read.before(hook)];
  return Array.from({ length: heads }, (_, head) => {
    let value = 0;
    for (let i = head * dHead; i < (head + 1) * dHead; i++) value += (z[i] ?? 0) * (reads[i] ?? 0);
    return { name: `L${layer}H${head}`, layer, head, value };
  });
}

const branchesOf = ({ dMlp }: Runtime['spec']): readonly Branch[] => (dMlp > 0 ? ['attn', 'mlp'] : ['attn']);
const sum = (parts: readonly { value: number }[]): number => parts.reduce((total, { value }) => total + value, 0);
