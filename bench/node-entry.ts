/** What bench/node.mjs runs, bundled without any package that is not in the bundle: our engine alone, on the GPU object it is given. */
export { measureAll } from './measure';
export { markdown } from './report';
