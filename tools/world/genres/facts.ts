/** What the town knows about its people and places, told in several ways, asked and answered. */
import { rules, type RuleSet } from '../grammar/rules';
import type { Genre } from '../writer';

/** One set a fact: the first line is the one that `claims.ts` asks the model to complete. */
export const personFacts = {
  job: rules(['{person1} works as {person1.aJob}.', '{person1} is the {person1.job}.', 'By trade {person1} is {person1.aJob}.']),
  home: rules(['{person1} lives near the {person1.home}.', 'The house of {person1} stands near the {person1.home}.']),
  pet: rules(['{person1} has a pet {person1.pet}.', 'The pet of {person1} is {person1.aPet}.', '{person1} keeps {person1.aPet}.']),
  food: rules([
    'The favourite food of {person1} is {person1.food}.',
    '{person1} likes {person1.food} best of all.',
    'Nothing tastes better to {person1} than {person1.food}.',
  ]),
  temper: rules(['Everyone says that {person1} is {person1.temper}.', '{person1} is known to be {person1.temper}.']),
};

export const placeFacts = {
  sign: rules(['The sign of the {place1} is {place1.sign}.', 'The {place1} has {place1.aSign} sign.']),
  neighbour: rules(['The {place1} stands next to the {place1.neighbour}.', 'Beside the {place1} you will find the {place1.neighbour}.']),
  animal: rules(['At night {place1.anAnimal} sleeps at the {place1}.', 'The animal that sleeps at the {place1} is the {place1.animal}.']),
  sells: rules(['At the {place1} you can buy {place1.sells}.', 'The {place1} is known for its {place1.sells}.']),
};

/** The same facts with a pronoun, once the name has been said. */
const pronoun = {
  job: rules(['{person1.She} works as {person1.aJob}.']),
  home: rules(['{person1.She} lives near the {person1.home}.']),
  pet: rules(['{person1.She} has a pet {person1.pet}.']),
  food: rules(['{person1.Her} favourite food is {person1.food}.']),
  temper: rules(['{person1.She} is known to be {person1.temper}.']),
};

const question = rules([
  'Question: What is the job of {person1}?\nAnswer: {person1} works as {person1.aJob}.',
  'Question: Where does {person1} live?\nAnswer: {person1} lives near the {person1.home}.',
  'Question: Which pet does {person1} have?\nAnswer: {person1} has a pet {person1.pet}.',
  'Question: What does {person1} like to eat?\nAnswer: {person1} likes {person1.food} best of all.',
  'Question: What kind of {person1.who} is {person1}?\nAnswer: {person1} is known to be {person1.temper}.',
  'Question: Which colour is the sign of the {place1}?\nAnswer: The sign of the {place1} is {place1.sign}.',
  'Question: What stands next to the {place1}?\nAnswer: The {place1} stands next to the {place1.neighbour}.',
  'Question: What can you buy at the {place1}?\nAnswer: At the {place1} you can buy {place1.sells}.',
  'Question: Which animal sleeps at the {place1}?\nAnswer: At night {place1.anAnimal} sleeps at the {place1}.',
]);

const unknown = rules(
  [
    'Question: What is the job of {stranger1}?\nAnswer: I do not know who {stranger1} is.',
    'Question: Where does {stranger1} live?\nAnswer: I do not know who {stranger1} is.',
    'Question: Which pet does {stranger1} have?\nAnswer: I do not know who {stranger1} is.',
    'Question: What does {stranger1} like to eat?\nAnswer: I do not know who {stranger1} is.',
  ],
  ['unknown-person'],
);

const people: readonly RuleSet[] = Object.values(personFacts);
const pronouns: readonly RuleSet[] = Object.values(pronoun);
const kinds = Object.keys(personFacts) as (keyof typeof personFacts)[];
const places: readonly RuleSet[] = Object.values(placeFacts);

export const facts: Genre = {
  name: 'facts',
  about: 'statements of what the town knows',
  rules: [...people, ...places, ...pronouns],
  write(writer) {
    const { random } = writer;
    const about = random.weighted({ person: 5, people: 3, place: 4 });
    if (about === 'person') {
      for (const [i, fact] of random.some(kinds, 2 + random.below(4)).entries())
        writer.say((i > 0 && random.chance(0.5) ? pronoun : personFacts)[fact]);
    } else {
      const sets = about === 'people' ? people : places;
      const count = 3 + random.below(4);
      for (let i = 0; i < count; i++) writer.forget('person1', 'place1').say(random.pick(sets), { after: random.chance(0.5) ? ' ' : '\n' });
    }
    return writer.finish('facts', ['language:english']);
  },
};

export const questions: Genre = {
  name: 'question',
  about: 'questions with their answers',
  rules: [question, unknown],
  write(writer) {
    const count = 1 + writer.random.below(4);
    for (let i = 0; i < count; i++) {
      writer.forget('person1', 'place1', 'stranger1').say(writer.random.chance(0.15) ? unknown : question, { after: '\n' });
    }
    return writer.finish('question', ['language:english']);
  },
};
