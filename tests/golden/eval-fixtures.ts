/** An evaluation's fixture as a test wants it: a dictionary's files as if dropped, the texts, and what SAELens makes of them (make_evals.py). */
import type { OpenedFile } from '../../workers/contract';
import type { FixtureName, Read } from './fixture';

export const EVALUATIONS = ['standard-resid', 'topk-mlp-out', 'jumprelu-z'] as const;
export type EvaluationName = (typeof EVALUATIONS)[number];

export interface EvaluationCase {
  model: FixtureName;
  /** Paths under `files/`. */
  files: string[];
  /** Tokens that are left out. */
  special: number[];
  texts: number[][];
  /** Under SAELens's names. */
  scores: Record<string, number>;
  /** Of each latent: the share of positions where it is active. */
  density: number[];
}

const here = import.meta.url;

const fetched: Read = async (path) => {
  const response = await fetch(new URL(`./fixtures/${path}`, here));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};

export async function loadEvaluation(name: EvaluationName, read: Read = fetched): Promise<{ about: EvaluationCase; files: OpenedFile[] }> {
  const at = `evals/${name}`;
  const about = JSON.parse(new TextDecoder().decode(await read(`${at}/case.json`))) as EvaluationCase;
  const files = about.files.map(async (path) => ({
    path,
    file: new File([await read(`${at}/files/${path}`)], path.split('/').pop() ?? path),
  }));
  return { about, files: await Promise.all(files) };
}

/** SAELens's names of what Loupe measures, and Loupe's. */
const SAME: Readonly<Record<string, string>> = {
  ...{ l0: 'l0', l1: 'l1', mse: 'mse' },
  ...{ ce_loss_score: 'ce_score', ce_loss_without_sae: 'ce_clean', ce_loss_with_sae: 'ce_spliced', ce_loss_with_ablation: 'ce_zero' },
  ...{ kl_div_score: 'kl_score', kl_div_with_sae: 'kl_spliced', kl_div_with_ablation: 'kl_zero' },
};

/** Scores under SAELens's names. */
export const asSaeLens = (scores: Readonly<Record<string, number>>): Record<string, number> => ({
  ...Object.fromEntries(Object.entries(SAME).map(([theirs, ours]) => [theirs, scores[ours] ?? NaN])),
  explained_variance: 1 - (scores['fvu'] ?? NaN),
});
