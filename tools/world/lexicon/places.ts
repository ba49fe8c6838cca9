/** The places of Lanternwick and their facts: what they stand next to, the colour of their sign, who sleeps there, what is sold. */
import { forms, type Word } from '../grammar/template';
import { animals, colours, foods } from './things';

export interface Place extends Word {
  name: string;
  neighbour: string;
  sign: string;
  animal: string;
  sells: string;
}

/** Place, next to, sign, the animal that sleeps there, what can be bought there. */
const TABLE = `
market     square     red    pigeon   cheese
harbour    lighthouse blue   goose    salmon
lighthouse beach      white  owl      marmalade
bakery     market     yellow mouse    bread
mill       well       green  cat      porridge
school     library    orange rabbit   popcorn
library    museum     brown  turtle   toast
chapel     tower      black  crow     honey
tavern     harbour    purple dog      stew
forge      workshop   grey   donkey   ham
garden     orchard    green  hedgehog salad
beach      harbour    white  frog     trout
bridge     mill       grey   fox      gingerbread
square     theatre    blue   pony     chocolate
well       farm       brown  hen      rice
orchard    garden     yellow ferret   jam
shipyard   harbour    red    parrot   soup
farm       mill       orange goat     butter
museum     castle     black  canary   custard
theatre    square     purple crow     cake
station    bridge     grey   horse    pudding
inn        tavern     red    dog      pie
tower      castle     white  owl      honey
workshop   forge      blue   mouse    toast
castle     chapel     black  horse    ham
`;

const pieces = (all: readonly Word[], id: string, form = 'noun') => {
  const word = all.find((one) => one.id === id);
  if (!word) throw new Error(`nothing is called “${id}”`);
  return word.forms[form] ?? [];
};

export const places: Place[] = TABLE.trim()
  .split('\n')
  .map((line): Place => {
    const [name = '', neighbour = '', sign = '', animal = '', sells = ''] = line.split(/\s+/);
    return {
      id: `place:${name}`,
      name,
      neighbour,
      sign,
      animal,
      sells,
      forms: {
        ...forms({ noun: `|${name}|` }, `place:${name}`),
        ...forms({ neighbour: `|${neighbour}|` }, `place:${neighbour}`),
        sign: pieces(colours, `colour:${sign}`),
        aSign: pieces(colours, `colour:${sign}`, 'a'),
        animal: pieces(animals, `animal:${animal}`),
        anAnimal: pieces(animals, `animal:${animal}`, 'a'),
        sells: pieces(foods, `food:${sells}`),
      },
    };
  });

/** Those with doors, steps, windows, rooms and a roof. */
const BUILDINGS = /place:(lighthouse|bakery|mill|school|library|chapel|tavern|forge|museum|theatre|station|inn|tower|workshop|castle)$/;
export const buildings: Place[] = places.filter(({ id }) => BUILDINGS.test(id));
