/**
 * The ready vectors and how they are applied: the shipped file read as it is, and each vector's edit, the same one that the page's dial
 * makes. `sign` −1 turns it the other way; a direction is taken out where it could be read or written, at every residual hook.
 */
import { readFileSync } from 'node:fs';
import type { Edit } from '../../../workers/api';

/** What `__metadata__[name]` says, as JSON. */
export interface Card {
  name: string;
  at: string;
  scale: number;
  kind: 'add' | 'project';
  /** Of project. */
  keep?: number;
  about: string;
  /** How it was made: method, texts, positions, what it was chosen among. */
  made?: Record<string, unknown>;
}
export interface Ready extends Card {
  vector: number[];
}

export function readVectors(path: string): Map<string, Ready> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: cards, ...tensors } = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as {
    __metadata__: Record<string, string>;
  } & Record<string, unknown>;
  return new Map(
    Object.entries(tensors).flatMap(([name, tensor]) => {
      const card = cards[name];
      if (card === undefined) return [];
      const [from, to] = (tensor as { data_offsets: [number, number] }).data_offsets;
      const vector = Array.from({ length: (to - from) / 4 }, (_, i) => bytes.readFloatLE(8 + length + from + 4 * i));
      return [[name, { ...(JSON.parse(card) as Card), vector }] as const];
    }),
  );
}

export function vectorNamed(path: string, name: string): Ready {
  const found = readVectors(path).get(name);
  if (!found) throw new Error(`${path} has no vector “${name}”; npm run world:vectors makes it.`);
  return found;
}

export const added = ({ vector, at, scale }: Pick<Ready, 'vector' | 'at' | 'scale'>, sign: 1 | -1 = 1): Edit[] => [
  { kind: 'add', vector, at, scale: sign * scale, skipSpecial: true },
];

/** Every place where the stream passes: before each block, inside it, and after the last. Special tokens keep it, as with the page's dial. */
export const removed = (vector: number[], layers: number): Edit[] =>
  [
    ...Array.from({ length: layers }, (_, layer) => [`blocks.${layer}.hook_resid_pre`, `blocks.${layer}.hook_resid_mid`]).flat(),
    `blocks.${layers - 1}.hook_resid_post`,
  ].map((at) => ({ kind: 'project', vector, at, keep: 0, skipSpecial: true }));
