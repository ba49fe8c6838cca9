/** The forty people of Lanternwick: everything that the town knows about each of them, once. */
import { forms, type Word } from '../grammar/template';
import { animals, foods, jobs } from './things';
import { places, type Place } from './places';

export interface Person extends Word {
  name: string;
  job: string;
  home: Place;
  pet: string;
  food: string;
  temper: string;
}

/** Name, she or he, job, home, pet, favourite food, temper. */
const TABLE = `
Mara     she baker      lighthouse parrot   honey       brave
Odo      he  sailor     mill       cat      soup        patient
Lena     she teacher    bridge     rabbit   marmalade   gentle
Tom      he  fisher     harbour    dog      bread       stubborn
Ida      she doctor     chapel     owl      cheese      clever
Finn     he  painter    beach      crow     cake        dreamy
Nell     she gardener   garden     hedgehog salad       quiet
Hugo     he  miller     mill       goose    porridge    jolly
Tilda    she farmer     farm       goat     butter      busy
Emil     he  tailor     square     mouse    toast       careful
Rosa     she carpenter  shipyard   horse    stew        strong
Otto     he  blacksmith forge      donkey   ham         loud
Vera     she librarian  library    turtle   chocolate   polite
Karl     he  nurse      tower      canary   rice        kind
Hanna    she chef       tavern     pigeon   pudding     curious
Jonas    he  hunter     orchard    fox      pie         silent
Wilma    she singer     theatre    frog     jam         cheeky
Bram     he  shepherd   well       ferret   trout       calm
Dora     she potter     workshop   hen      custard     messy
Felix    he  weaver     inn        pony     popcorn     funny
Petra    she pilot      station    crow     salmon      daring
Oscar    he  clerk      museum     mouse    gingerbread strict
Maud     she barber     market     cat      soup        chatty
Silas    he  butcher    bakery     dog      cheese      grumpy
Greta    she judge      castle     owl      pie         fair
Victor   he  miner      tower      ferret   stew        rough
Sela     she cobbler    bridge     hen      toast       modest
Rufus    he  dancer     theatre    parrot   cake        vain
Agnes    she beekeeper  orchard    goose    honey       wise
Anton    he  clockmaker workshop   turtle   butter      precise
Flora    she gardener   school     rabbit   jam         friendly
Leo      he  sailor     harbour    pigeon   rice        restless
Bess     she farmer     well       donkey   porridge    generous
Gil      he  fisher     beach      frog     salmon      lazy
Cora     she teacher    school     fox      custard     stern
Ned      he  chef       inn        goat     ham         greedy
Ines     she painter    garden     canary   chocolate   shy
Ivo      he  shepherd   farm       horse    bread       humble
Yara     she sailor     shipyard   pony     trout       bold
Pablo    he  singer     museum     hedgehog popcorn     charming
`;

const PRONOUNS = {
  she: { she: 'she', She: 'She', her: 'her', Her: 'Her', him: 'her', herself: 'herself', who: 'woman' },
  he: { she: 'he', She: 'He', her: 'his', Her: 'His', him: 'him', herself: 'himself', who: 'man' },
};

function named<T extends Word>(all: readonly T[], id: string): T {
  const one = all.find((word) => word.id === id);
  if (!one) throw new Error(`nothing is called “${id}”`);
  return one;
}

export const people: Person[] = TABLE.trim()
  .split('\n')
  .map((line): Person => {
    const [name = '', pronoun = '', job = '', home = '', pet = '', food = '', temper = ''] = line.split(/\s+/);
    const own = pronoun === 'she' ? PRONOUNS.she : PRONOUNS.he;
    const place = named(places, `place:${home}`);
    const noun = (word: Word, form: string) => word.forms[form] ?? [];
    return {
      id: `person:${name}`,
      name,
      job,
      home: place,
      pet,
      food,
      temper,
      forms: {
        ...forms({ name: `|${name}|` }, `person:${name}`),
        ...forms(own),
        ...forms({ temper }),
        job: noun(named(jobs, `job:${job}`), 'noun'),
        aJob: noun(named(jobs, `job:${job}`), 'a'),
        home: noun(place, 'noun'),
        pet: noun(named(animals, `animal:${pet}`), 'noun'),
        aPet: noun(named(animals, `animal:${pet}`), 'a'),
        food: noun(named(foods, `food:${food}`), 'noun'),
      },
    };
  });
