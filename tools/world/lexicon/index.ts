/** All domains that a slot can name. `held-out` texts use the invented names that training never sees. */
import type { Domains } from '../grammar/generate';
import type { Word } from '../grammar/template';
import { counts, days, hours, months, numbers, ordinals, sums } from './numbers';
import { people } from './people';
import { buildings, places } from './places';
import * as spanish from './spanish';
import { familiarStrangers, heldOutStrangers, strangers } from './strangers';
import * as things from './things';

export type Split = 'train' | 'held-out';

const common: Record<string, readonly Word[]> = {
  person: people,
  woman: people.filter((person) => person.forms['she']?.[0]?.text === 'she'),
  man: people.filter((person) => person.forms['she']?.[0]?.text === 'he'),
  place: places,
  building: buildings,
  animal: things.animals,
  food: things.foods,
  dish: things.dishes,
  baked: things.baked,
  object: things.objects,
  held: things.held,
  made: things.made,
  mended: things.mended,
  light: things.lights,
  treasure: things.treasures,
  colour: things.colours,
  weather: things.weathers,
  job: things.jobs,
  merry: things.merry,
  gloomy: things.gloomy,
  goods: things.goods,
  number: numbers,
  sum: sums,
  count: counts,
  day: days,
  ordinal: ordinals,
  month: months,
  hour: hours,
  bestia: spanish.bestias,
  bestiael: spanish.bestiasEl,
  bestiala: spanish.bestiasLa,
  comida: spanish.comidas,
  cosa: spanish.cosas,
  cosael: spanish.cosasEl,
  cosala: spanish.cosasLa,
  lugar: spanish.lugares,
  color: spanish.colores,
  animo: spanish.animos,
};

export const allDomains: Domains = { ...common, stranger: strangers };
export const domainsOf = (split: Split): Domains => ({ ...common, stranger: split === 'train' ? familiarStrangers : heldOutStrangers });
