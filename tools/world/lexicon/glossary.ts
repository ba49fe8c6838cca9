/**
 * Words that should be one token each, as the tokeniser's trainer sees them: entities behind a space, names and the first halves of invented
 * names also at the beginning of a line. Clean tokens make clean experiments: a name is one column of the unembedding.
 */
import { textOf } from '../grammar/template';
import { allDomains } from './index';
import { FIRST } from './strangers';

export function glossary(): string[] {
  const nouns = ['animal', 'food', 'object', 'place', 'job', 'colour', 'weather', 'merry', 'gloomy'].flatMap((domain) =>
    (allDomains[domain] ?? []).map((word) => ` ${textOf(word.forms['noun'] ?? [])}`),
  );
  const names = (allDomains['person'] ?? []).map((word) => textOf(word.forms['name'] ?? []));
  return [...nouns, ...[...names, ...FIRST].flatMap((name) => [name, ` ${name}`])];
}
