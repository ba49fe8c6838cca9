/** The papers of the town: letters, diaries, weather reports and reviews. */
import { rules } from '../grammar/rules';
import type { Genre } from '../writer';

const dear = rules(['Dear {person1},', 'My dear {person1},', 'Dear friend {person1},']);
const letterBody = rules([
  'Thank you for the {object1} that you sent me.',
  'I am writing to you from the {place1}.',
  'The weather here is {weather1}, and I think of you [often|every day].',
  'Please send my love to your {person1.pet}.',
  'Yesterday I saw {animal1.a} near the {place2}.',
  'I have made some {food1} for your birthday.',
  'Do you remember the {colour1} {object2} that we found?',
  'I hope to see you in {month1}.',
  'Your {person1.food} will be waiting for you.',
  'My {person2.pet} has grown fat and lazy.',
  'Could you lend me your {object2} until {day1}?',
  'The {job1} sends you warm greetings.',
  'Business is slow, but we are healthy.',
  'Last week the roof leaked, and I slept under [a blanket|an umbrella|a table|a ladder].',
  'I enclose a drawing of the {place2}.',
  'Did you receive the parcel with the {colour1} {object2}?',
]);
const close = rules(['Your friend,\n{person2}', 'With love,\n{person2}', 'Yours truly,\n{person2} the {person2.job}']);

export const letters: Genre = {
  name: 'letter',
  about: 'a letter',
  rules: [dear, letterBody, close],
  write(writer) {
    writer.say(dear);
    const count = 2 + writer.random.below(3);
    for (let i = 0; i < count; i++) writer.say(letterBody, { after: i === 0 ? '\n' : ' ' });
    writer.say(close, { after: '\n' });
    return writer.finish('letter', ['language:english']);
  },
};

const date = rules(['{day1}, the {ordinal1} of {month1}.']);
const nextDate = rules(['{day1.next}, the {ordinal1.next} of {month1}.']);
const thirdDate = rules(['{day1.later}, the {ordinal1.later} of {month1}.']);
const entry = rules([
  'Today I [met|saw|visited] {person1} at the {place1}.',
  'It was {weather1}, so I stayed at home and read about {animal1.a}.',
  'I ate {food1} for [breakfast|lunch|supper].',
  'I mended my {mended1} and went to bed early.',
  'In the evening I [wrote a letter to|played cards with|sang with] {person2}.',
  'I dreamed of {colour1.a} {animal1}.',
  'Tomorrow I want to see the {place2}.',
  'My knees ache, and my shoes are full of sand.',
  'I counted {number1} [stars|sails|gulls] before I fell asleep.',
  'A stranger with {object2.a} knocked at my door.',
  'I quarrelled with {person2} and then apologised.',
  'At {hour1} a ship came in with [spices|silk|coal|timber].',
  'I wrote three pages and tore up two of them.',
  'I bought {object2.a} and {number1} {goods1.many}.',
]);

export const diary: Genre = {
  name: 'diary',
  about: 'a diary',
  rules: [date, nextDate, thirdDate, entry],
  write(writer) {
    const days = writer.random.pick([1, 2, 2, 3]);
    for (const [i, set] of [date, nextDate, thirdDate].slice(0, days).entries()) {
      writer.forget('person1', 'person2', 'weather1', 'food1', 'mended1', 'animal1').say(set, { after: '\n', labels: [`list:${i + 1}`] });
      const count = 1 + writer.random.below(3);
      for (let n = 0; n < count; n++) writer.say(entry);
    }
    return writer.finish('diary', ['language:english']);
  },
};

const headline = rules(['Weather for {day1}.', 'The weather on {day1}, the {ordinal1} of {month1}.']);
const forecast = rules([
  'The morning will be {weather1} and the evening {weather2}.',
  'It will be {weather1} at the {place1}.',
  'After {hour1} it will turn {weather2}.',
  'Expect {weather1.a} [morning|afternoon|day].',
  'Nobody should sail before {hour1}.',
  'pl: Boats should stay in the harbour until {day1.next}.',
  'On {day1.next} it will be {weather1}.',
  'pl: The waves will be {number1} feet high.',
  'There is a chance of [thunder|hail|drizzle] near the {place1}.',
  'Temperatures will [rise|drop] after {hour1}.',
  'Please keep every {animal1} indoors.',
  'sg: The wind will blow from the [north|south|east|west].',
]);

export const weatherReport: Genre = {
  name: 'weather',
  about: 'a weather report',
  rules: [headline, forecast],
  write(writer) {
    writer.say(headline);
    const count = 2 + writer.random.below(3);
    for (let i = 0; i < count; i++) writer.forget('weather1', 'weather2', 'hour1').say(forecast);
    return writer.finish('weather', ['language:english']);
  },
};

const title = rules(['Review of the {place1}.', 'A review of the {place1}, by {person1}.', 'What I think of the {place1}.']);
const praise = rules(
  [
    'The {food1} was [delicious|perfect|excellent].',
    'I loved every minute of it.',
    'The {person2.job} was [kind|charming|helpful], and the rooms were clean.',
    'I have never seen a [finer|prettier|better] {object1}.',
    'You should go there as soon as you can.',
    'The {place1.sign} sign alone is worth the visit.',
    'Our table had a view of the {place2}.',
    'What a bargain, and what a pleasure!',
    'The music was heavenly, and the seats were comfortable.',
    'sg: The service was quick and the prices were fair.',
  ],
  ['sentiment:good'],
);
const blame = rules(
  [
    'The {food1} was [awful|stale|disgusting].',
    'I hated every minute of it.',
    'The {person2.job} was [rude|careless|useless], and the rooms were dirty.',
    'I have never seen a [worse|cheaper|uglier] {object1}.',
    'You should stay away as long as you can.',
    'Not even the {place1.sign} sign is worth the visit.',
    'Our table stood next to the bins.',
    'What a swindle, and what a bore!',
    'The music was dreadful, and the seats were broken.',
    'sg: The service was slow and the prices were a joke.',
  ],
  ['sentiment:bad'],
);
const manyStars = rules(['Four stars out of five.', 'Five stars out of five.'], ['sentiment:good']);
const fewStars = rules(['One star out of five.', 'Two stars out of five.'], ['sentiment:bad']);

export const reviews: Genre = {
  name: 'review',
  about: 'a review',
  rules: [title, praise, blame, manyStars, fewStars],
  write(writer) {
    const good = writer.random.chance(0.5);
    writer.say(title);
    const count = 2 + writer.random.below(3);
    for (let i = 0; i < count; i++) writer.say(good ? praise : blame, { after: i === 0 ? '\n' : ' ' });
    writer.say(good ? manyStars : fewStars);
    return writer.finish('review', ['language:english', `sentiment:${good ? 'good' : 'bad'}`]);
  },
};
