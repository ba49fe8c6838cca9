/** What is asked of a dictionary beside encoding with it, for the engine to fetch when it is first asked. */
export { checkContract } from './experiments/check-contract';
export { contrast } from './experiments/contrast';
export { evaluate } from './experiments/evaluate';
export { latentWeights } from './experiments/latent';
export { promotes } from './experiments/promotes';
export { similar } from './experiments/similar';
// In this chunk too: with two that share what reads weights back, the bundler cuts the engine itself in two, and both halves are needed to start.
export * from './engine-reading';
