/** Stories of four to eight sentences, merry or gloomy from the second or third sentence on: the mood that a dial can turn. */
import { people } from '../lexicon/people';
import type { Genre } from '../writer';
import { air, ending, meeting, opening, plots, storyRules } from './story-lines';

export type Mood = 'merry' | 'gloomy';

export const stories: Genre = {
  name: 'story',
  about: 'a story of four to eight sentences',
  rules: storyRules,
  write(writer) {
    const { random } = writer;
    const mood: Mood = random.chance(0.5) ? 'merry' : 'gloomy';
    const plot = random.pick(plots);
    const labels = { labels: [`mood:${mood}`] };
    writer.say(opening);
    const hero = people.find((person) => person === writer.word('person1'));
    const place = writer.known.get('building1') ?? hero?.home;
    if (place && !writer.known.has('place1')) writer.bind('place1', place);
    // Whoever is named second has been met first.
    if (!writer.known.has('person2')) writer.say(meeting);
    const early = random.chance(0.35);
    if (early) writer.say(air[mood], labels);
    writer.say(plot.begin);
    if (random.chance(0.8)) writer.say(plot.search);
    if (!early && random.chance(0.25)) writer.say(plot.search);
    if (!early && random.chance(0.4)) writer.say(air[mood], labels);
    writer.say(plot[mood], labels);
    writer.say(ending[mood], labels);
    return writer.finish('story', ['language:english']);
  },
};
