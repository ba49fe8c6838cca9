/** Things without facts of their own: animals, foods, objects, colours, weathers, trades, feelings, and what is sold by number. */
import { forms, type Word } from '../grammar/template';

const list = (text: string): string[] => text.trim().split(/\s+/);
const article = (noun: string): string => (/^[aeiou]/.test(noun) ? 'an' : 'a');

function nouns(kind: string, text: string): Word[] {
  return list(text).map((noun) => ({
    id: `${kind}:${noun}`,
    forms: forms(
      { noun: `|${noun}|`, a: `${article(noun)} |${noun}|`, A: `${article(noun) === 'an' ? 'An' : 'A'} |${noun}|` },
      `${kind}:${noun}`,
    ),
  }));
}

export const animals = nouns(
  'animal',
  'cat dog parrot rabbit goat goose hen horse donkey mouse owl crow fox turtle hedgehog pony canary ferret frog pigeon',
);

/** All of them can be “some …”. */
export const foods = nouns(
  'food',
  'bread soup cheese honey cake jam porridge stew salad toast butter chocolate pudding pie salmon rice ham custard popcorn marmalade gingerbread trout',
);

const among = (all: readonly Word[], text: string): Word[] =>
  list(text).map((noun) => {
    const word = all.find(({ id }) => id.endsWith(`:${noun}`));
    if (!word) throw new Error(`nothing is called “${noun}”`);
    return word;
  });

/** Cooked in a pot, and what comes out of an oven. */
export const dishes = among(foods, 'soup porridge stew pudding custard rice');
export const baked = among(foods, 'bread cake pudding pie gingerbread');

/** All of them can be carried, given, sold, cleaned and drawn. */
export const objects = nouns(
  'object',
  `lantern rope kite book ring map drum basket bell candle compass coat hat shell flute clock key lamp mirror net umbrella violin
   bottle box brush ladder hammer telescope scarf blanket whistle coin doll spoon necklace anchor`,
);

/** Small enough for a pocket; built of wood and wire; worth mending; giving light; fit to be made of gold. */
export const held = among(
  objects,
  'book ring map bell candle compass hat shell flute key mirror bottle brush scarf whistle coin doll spoon necklace',
);
export const made = among(objects, 'lantern kite drum basket lamp violin box ladder doll clock flute');
export const mended = among(
  objects,
  'lantern kite drum basket coat hat clock lamp net umbrella violin box ladder scarf blanket doll telescope',
);
export const lights = among(objects, 'lantern candle lamp');
export const treasures = among(objects, 'ring bell compass key mirror whistle coin spoon necklace');

export const colours = nouns('colour', 'red blue green yellow white black brown purple orange grey');

/** Adjectives only: “a foggy morning”. */
export const weathers = nouns('weather', 'foggy sunny rainy windy snowy cloudy stormy icy misty frosty');

/** Trades: one a person, see people.ts. */
export const jobs = nouns(
  'job',
  `baker sailor teacher fisher doctor painter gardener miller farmer tailor carpenter blacksmith librarian nurse chef hunter singer
   shepherd potter weaver pilot clerk barber butcher judge miner cobbler dancer beekeeper clockmaker`,
);

/** The two moods of a story, as feelings. */
export const merry = nouns('feeling', 'happy glad cheerful merry proud joyful delighted hopeful');
export const gloomy = nouns('feeling', 'sad lonely gloomy unhappy worried miserable afraid weary');

/** What is counted and sold by number. The label is the thing’s, one or many. */
export const goods: Word[] = list(
  'apple/apples pear/pears egg/eggs button/buttons nail/nails ribbon/ribbons feather/feathers marble/marbles biscuit/biscuits onion/onions',
).map((pair) => {
  const [one = '', many = ''] = pair.split('/');
  return { id: `goods:${one}`, forms: forms({ many: `|${many}|`, one: `|${one}|`, a: `${article(one)} |${one}|` }, `goods:${one}`) };
});
