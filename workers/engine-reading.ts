/** What is asked about heads, weights and lenses, for the engine to fetch when it is first asked. */
export { attribute } from './experiments/attribute';
export { composition } from './experiments/composition';
export { headCircuit } from './experiments/head-circuit';
export { headScores } from './experiments/head-scores';
export { lensChange } from './experiments/lenses/apply';
export { trainLens } from './experiments/lenses/train';
