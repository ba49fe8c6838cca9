/** What is asked of an estimate: a sweep's request, each pair's two runs with the edits in force in each. */
import type { EngineAttribution } from '../../contract-gradient';
import type { EngineEdit } from '../../contract';

/** One run of a pair: its tokens, and the edits in force. */
export interface Side {
  ids: readonly number[];
  edits: readonly EngineEdit[];
}
export interface Estimate extends Omit<EngineAttribution, 'pairs' | 'edits' | 'noise'> {
  pairs: readonly { clean: Side; corrupted: Side; tokens?: readonly number[] }[];
}

export const estimateOf = ({ pairs, edits, ...rest }: EngineAttribution): Estimate => ({
  ...rest,
  pairs: pairs.map(({ clean, corrupted, tokens }) => ({
    clean: { ids: clean, edits },
    corrupted: { ids: corrupted, edits },
    ...(tokens ? { tokens } : {}),
  })),
});
