/**
 * Invented names: people the town does not know, and the rolls that teach repeating what was read. Two syllables each, so that there
 * are far more than can be learnt by heart; one in eight is held out and never seen in training.
 */
import { hashOf } from '../random';
import { forms, type Word } from '../grammar/template';
import { people } from './people';

export const FIRST =
  'Bel Cor Dan Fal Gar Hod Jar Kel Lor Mel Nor Pol Quin Ran Sar Tal Ul Vel Wen Zan Bri Dru Fen Kas Mir Rud Sim Tor Vas Yor'.split(' ');
const SECOND = 'ba den dis fo gan kin lo mas mer nar nis po ra rik ro san sel ta tor vin wick ya zo bert'.split(' ');

const known = new Set(people.map(({ name }) => name));

export const strangers: Word[] = FIRST.flatMap((first) => SECOND.map((second) => first + second))
  .filter((name) => !known.has(name))
  .map((name) => ({ id: `stranger:${name}`, forms: forms({ name: `|${name}|` }, 'unknown-person') }));

const held = (word: Word): boolean => hashOf(word.id) % 8 === 0;
export const familiarStrangers: Word[] = strangers.filter((word) => !held(word));
export const heldOutStrangers: Word[] = strangers.filter(held);
