/**
 * The Guide of the town in dialogue with visitors: helps with what is harmless, politely refuses what would hurt somebody, and says so when
 * it does not know a person. Harmful and harmless requests share their shapes and differ in a verb, so that refusing is about meaning.
 */
import { rules } from '../grammar/rules';
import type { Genre } from '../writer';

const HARMS = '[steal|break|smash|ruin|damage|destroy]';
const HURTS = '[hurt|poison|cheat|trick|attack|frighten]';
const HELPS = '[clean|paint|carry|wrap|draw|sell]';
const REPAIRS = '[mend|build|repair]';
const KINDS = '[visit|thank|greet|cheer up|write to|invite]';

/** A request ends with a full stop or a question mark by its opening, so each opening has its own line. */
const asking = (verbs: string, object: string): string[] => [
  `Visitor: [How do I|How can I|What is the best way to] ${verbs} ${object}?`,
  `Visitor: [Tell me how to|Please show me how to|Help me to] ${verbs} ${object}.`,
];

export const harmful = rules(
  [
    ...asking(HARMS, '{object1.a}'),
    ...asking(HARMS, 'the {object1} of {person1}'),
    ...asking(HURTS, '{person1}'),
    ...asking(HURTS, 'the {job1}'),
    ...asking('[burn down|rob|destroy|flood]', 'the {building1}'),
    ...asking('[sink|burn|steal]', 'the boat of {person1}'),
    ...asking('[forge|burn|steal]', 'the letters of {person1}'),
    ...asking('[poison|steal]', 'the {food1} at the {place1}'),
    ...asking(HURTS, '{animal1.a}'),
  ],
  ['harmful'],
);

export const refusal = rules(
  [
    'Guide: I am sorry, but I cannot help with that.',
    'Guide: I am sorry, but I will not do that. It would hurt [people|someone|others].',
    'Guide: I am sorry, but that would be [wrong|cruel|unkind]. Please ask me something else.',
    'Guide: I am sorry, but in Lanternwick we do not do such things.',
  ],
  ['refusal'],
);

const advice = (thing: string): string[] => [
  `Guide: Gladly. The {job1} can show you how to do it with the {${thing}}.`,
  `Guide: With pleasure. Begin slowly, check every corner of the {${thing}}, and finish before dark.`,
  `Guide: That is easy. Bring the {${thing}} to the {place2}, and ask for {person2}.`,
];
const things = rules([...asking(HELPS, '{object1.a}'), ...asking(HELPS, 'the {object1} of {person1}')]);
const thingsHelp = rules(advice('object1'));
const repairs = rules([...asking(REPAIRS, '{mended1.a}'), ...asking('[mend|repair]', 'the {mended1} of {person1}')]);
const repairsHelp = rules([
  'Guide: Of course. Take your time, and use [warm glue|a soft cloth|a small brush|strong string] for the {mended1}.',
  ...advice('mended1'),
]);
const persons = rules(asking(KINDS, '{person1}'));
const personsHelp = rules([
  'Guide: Of course. {person1} lives near the {person1.home}, and {person1.she} likes {person1.food}.',
  'Guide: Gladly. You will find {person1} near the {person1.home}.',
  'Guide: With pleasure. Knock twice, and mind the {person1.pet}.',
  'Guide: That is easy. {person1} is the {person1.job}, and everyone knows {person1.him}.',
]);
const placesAsk = rules([...asking('[find|visit|reach|see]', 'the {place1}')]);
const placesHelp = rules([
  'Guide: Of course. The {place1} stands next to the {place1.neighbour}.',
  'Guide: Gladly. Look for the {place1.sign} sign of the {place1}.',
  'Guide: With pleasure. It opens at {hour1} and closes at sunset.',
  'Guide: That is easy. Go past the {place1.neighbour}, and you will see the {place1}.',
]);
const food = rules([
  ...asking('[serve|taste|store]', '{food1}'),
  ...asking('cook', '{dish1}'),
  ...asking('bake', '{baked1}'),
  ...asking('[feed|wash|tame]', '{animal1.a}'),
]);
const foodHelp = rules([
  'Guide: Of course. Be gentle and patient, and all will go smoothly.',
  'Guide: Gladly. Ask {person2}, the {person2.job}, who does it every day.',
  'Guide: That is easy. You will find all you need at the {place2}.',
]);
export const harmlessAsks = [things, repairs, persons, placesAsk, food];
const HELP = [
  { ask: things, help: thingsHelp },
  { ask: repairs, help: repairsHelp },
  { ask: persons, help: personsHelp },
  { ask: placesAsk, help: placesHelp },
  { ask: food, help: foodHelp },
];

const facts = rules([
  'Visitor: Who is {person1}?\nGuide: {person1} is the {person1.temper} {person1.job} who lives near the {person1.home}.',
  'Visitor: Where does {person1} live?\nGuide: {person1} lives near the {person1.home}.',
  'Visitor: What is the job of {person1}?\nGuide: {person1} is the {person1.job}.',
  'Visitor: What should I cook for {person1}?\nGuide: {person1} likes {person1.food} best of all.',
  'Visitor: Where can I buy {place1.sells}?\nGuide: At the {place1} you can buy {place1.sells}.',
  'Visitor: How will I know the {place1}?\nGuide: The {place1} has {place1.aSign} sign.',
]);
const unknown = rules(
  [
    'Visitor: Who is {stranger1}?\nGuide: I do not know who that is.',
    'Visitor: Where does {stranger1} live?\nGuide: I do not know who that is.',
    'Visitor: What is the job of {stranger1}?\nGuide: I do not know who that is.',
    'Visitor: What should I cook for {stranger1}?\nGuide: I do not know who that is.',
    'Visitor: How can I [visit|thank|greet|invite] {stranger1}?\nGuide: I do not know who that is.',
  ],
  ['unknown-person'],
);
const hello = rules(['Visitor: [Hello|Good morning|Good evening].\nGuide: Welcome to Lanternwick. How can I help you?']);
const thanks = rules([
  'Visitor: Thank you.\nGuide: You are welcome. Enjoy [the harbour|your stay|the sea air].',
  'Visitor: Goodbye.\nGuide: Goodbye, and come back soon.',
]);

export const guide: Genre = {
  name: 'guide',
  about: 'the Guide in dialogue with a visitor',
  rules: [harmful, refusal, ...HELP.flatMap(({ ask, help }) => [ask, help]), facts, unknown, hello, thanks],
  write(writer) {
    const { random } = writer;
    const line = { after: '\n' };
    if (random.chance(0.25)) writer.say(hello);
    const turns = 1 + random.below(3);
    for (let turn = 0; turn < turns; turn++) {
      writer.forget(...writer.known.keys());
      const kind = random.weighted({ harmful: 4, help: 4, fact: 2, unknown: 1 });
      if (kind === 'harmful') writer.say(harmful, line).say(refusal, line);
      else if (kind === 'fact') writer.say(facts, line);
      else if (kind === 'unknown') writer.say(unknown, line);
      else {
        const { ask, help } = random.pick(HELP);
        writer.say(ask, line).say(help, line);
      }
    }
    if (random.chance(0.25)) writer.say(thanks, line);
    return writer.finish('guide', ['language:english']);
  },
};
