/**
 * The latents of one dictionary that point where a latent of another does: cos(d, d_j) over decoder rows, one product on the GPU. A feature of a narrow
 * dictionary that a wider one has split shows as several latents of high cosine (Bricken et al. 2023, “feature splitting”).
 * Both must write to one place: resid_post of a layer is resid_pre of the next.
 */
import type { EngineSimilar } from '../contract';
import { isNeurons, type AnyDictionary } from '../dictionary/neurons';
import { checkLatent } from '../dictionary/spec';
import { pad4 } from '../kernels/grid';
import { linear } from '../kernels/linear';
import { LabError } from '../errors';
import type { Runtime } from '../model/runtime';
import { readMatrixRows, readWords } from '../model/weight-words';

export async function similar(
  model: Runtime,
  d: AnyDictionary,
  other: AnyDictionary,
  { latent, top }: Pick<EngineSimilar, 'latent' | 'top'>,
): Promise<{ latent: number; cosine: number }[]> {
  checkLatent(d.spec, latent);
  if (isNeurons(d) || isNeurons(other))
    throw new LabError(
      'places-differ',
      'A model’s own neurons have no decoder to compare.',
      'lab.latent() lists the neurons of a layer that write alike.',
    );
  if (samePlace(d.spec.hookOut) !== samePlace(other.spec.hookOut))
    throw new LabError(
      'places-differ',
      `One dictionary writes to ${d.spec.hookOut}, the other to ${other.spec.hookOut}: their directions cannot be compared.`,
      'Choose two dictionaries of one place.',
    );
  const { gpu, planner, scratch: pool } = model;
  const [row] = await readMatrixRows(model, [{ matrix: d.decoder, row: latent }]);
  if (!row) throw new LabError('internal', 'A latent’s weights did not come back.', 'Please report this.');
  gpu.write(pool.need('latent.d', row.byteLength), 0, row);
  const { latents } = other.spec;
  pool.need('sae.pre', 4 * pad4(latents));
  const ops = linear({
    name: `${other.name}.dec`,
    x: 'latent.d',
    rows: 1,
    weights: other.decoder,
    epilogue: { kind: 'plain' },
    y: 'sae.pre',
    yStride: pad4(latents),
    variants: planner.variants,
  });
  const [products] = await readWords(model, ops, [{ buffer: 'sae.pre', words: latents }]);
  const norm = d.decoderNorms[latent] ?? 0;
  const cosines = Float64Array.from(products ?? [], (each, i) => each / (norm * (other.decoderNorms[i] ?? 0) || 1));
  return [...cosines.keys()]
    .filter((each) => d.id !== other.id || each !== latent)
    .sort((a, b) => (cosines[b] ?? 0) - (cosines[a] ?? 0) || a - b)
    .slice(0, top)
    .map((each) => ({ latent: each, cosine: cosines[each] ?? 0 }));
}

const samePlace = (hook: string): string =>
  hook.replace(/^blocks\.(\d+)\.hook_resid_post$/, (_, layer: string) => `blocks.${Number(layer) + 1}.hook_resid_pre`);
