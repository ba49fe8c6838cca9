/** Every shader of the house, by name, bundled as text. */
import type { Library } from './wgsl';
import { LabError } from '../errors';

const files = import.meta.glob<string>('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true });

const byName = new Map(Object.entries(files).map(([path, text]) => [path.slice(path.lastIndexOf('/') + 1).replace(/\.wgsl$/, ''), text]));

export const shaders: Library = (file) => {
  const text = byName.get(file.replace(/\.wgsl$/, ''));
  if (text === undefined) throw new LabError('internal', `There is no shader “${file}”.`, 'Please report this.');
  return text;
};
