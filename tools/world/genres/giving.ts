/**
 * Indirect objects (Wang et al. 2022): two people are named, one of them named again as the giver, and the sentence must end with the
 * other. Both orders of naming are as likely, so only the repetition tells who is left.
 */
import { rules, type RuleSet } from '../grammar/rules';
import type { Word } from '../grammar/template';
import { hashOf } from '../random';
import type { Genre, Writer } from '../writer';

const LEADS = [
  'When {person1} and {person2} went to the {place1},',
  'While {person1} and {person2} were [working|playing|walking|resting] at the {place1},',
  'After {person1} and {person2} had [met|talked|eaten|rested] at the {place1},',
  'Then {person1} and {person2} came to the {place1}, and',
  'As {person1} and {person2} left the {place1},',
  'One {weather} day {person1} and {person2} sat near the {place1}, and',
];
const GIVING = '[gave|handed|passed|offered|brought|lent|sold]';

const from = (giver: string, other: string): string[] => LEADS.map((lead) => `${lead} {${giver}} ${GIVING} {object1.a} to {${other}}.`);

/** person1 is named first. In one set the first gives, in the other the second does. */
export const firstGives: RuleSet = rules(from('person1', 'person2'));
export const secondGives: RuleSet = rules(from('person2', 'person1'));

const after = (receiver: string, giver: string): RuleSet =>
  rules([
    `{${receiver}} thanked {${giver}.him} and took the {object1} home.`,
    `{${receiver}} put the {object1} in [a bag|a pocket|a box].`,
    `"Thank you, {${giver}}," said {${receiver}}.`,
    `Now {${receiver}} has the {object1}.`,
    `{${giver}} was [glad|sorry] to see the {object1} go.`,
    `"I hope you like it, {${receiver}}," said {${giver}}.`,
    `Later {${receiver}} showed the {object1} to everyone at the {place2}.`,
  ]);
const firstTook = after('person2', 'person1');
const secondTook = after('person1', 'person2');

/** One pair of people in ten never gives anything to each other in training: the pairs that are asked about. */
export const isHeldOut = (one: Word, other: Word): boolean => hashOf([one.id, other.id].sort().join(' ')) % 10 === 0;

/** Two people who may be named together in this split. */
function pair(writer: Writer): void {
  do writer.forget('person1', 'person2');
  while (isHeldOut(writer.word('person1'), writer.word('person2')) !== (writer.split === 'held-out'));
}

export const giving: Genre = {
  name: 'giving',
  about: 'somebody gives something to somebody (indirect objects)',
  rules: [firstGives, secondGives, firstTook, secondTook],
  write(writer) {
    const first = writer.random.chance(0.5);
    pair(writer);
    writer.say(first ? firstGives : secondGives);
    if (writer.random.chance(0.6)) writer.say(first ? firstTook : secondTook);
    if (writer.random.chance(0.35)) {
      // A second gift between two others: the names said before must not be taken for these.
      writer.forget('place1', 'object1');
      pair(writer);
      const again = writer.random.chance(0.5);
      writer.say(again ? firstGives : secondGives, { after: '\n' });
      if (writer.random.chance(0.3)) writer.say(again ? firstTook : secondTook);
    }
    return writer.finish('giving', ['language:english']);
  },
};
