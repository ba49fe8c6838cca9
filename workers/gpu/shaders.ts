/** Every shader of the house, by name, bundled as text. */
import type { Library } from './wgsl';
import { LabError } from '../errors';

const files = import.meta.glob<string>('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true });

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1).replace(/\.wgsl$/, '');
const byName = new Map(Object.entries(files).map(([path, text]) => [nameOf(path), text]));
// A name says which file: two folders, one namespace.
if (byName.size !== Object.keys(files).length) throw new Error('Two shaders share a name.');

export const shaders: Library = (file) => {
  const text = byName.get(file.replace(/\.wgsl$/, ''));
  if (text === undefined) throw new LabError('internal', `There is no shader “${file}”.`, 'Please report this.');
  return text;
};
