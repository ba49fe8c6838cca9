/** What is asked about heads, weights and lenses, for the engine to fetch when it is first asked. */
export { attribute } from './experiments/attribute';
