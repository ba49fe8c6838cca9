/** Lists, counts, sums and a little code: where position and quantity matter. */
import { rules } from '../grammar/rules';
import type { Genre } from '../writer';

const listTitle = rules([
  'Shopping list of {person1}:',
  'To buy at the {place1}:',
  'In the bag of {person1}:',
  'For sale at the {place1}:',
]);
const item = rules(['{food1}', '{object1.a}', '{number1} {goods1.many}']);
const NTH = [1, 2, 3, 4, 5, 6];

const numbered = NTH.map((n) => rules([`${n}. {food1}`, `${n}. {object1.a}`, `${n}. {number1} {goods1.many}`]));
const dashed = rules(item.map(({ source }) => `- ${source}`));

export const lists: Genre = {
  name: 'list',
  about: 'a list',
  rules: [listTitle, ...numbered, dashed],
  write(writer) {
    const { random } = writer;
    writer.say(listTitle);
    const count = 2 + random.below(5);
    const byNumber = random.chance(0.7);
    for (const n of NTH.slice(0, count)) {
      const set = byNumber ? numbered[n - 1] : dashed;
      if (set) writer.forget('food1', 'object1', 'number1', 'goods1').say(set, { after: '\n', labels: [`list:${n}`] });
    }
    return writer.finish('list', ['language:english']);
  },
};

const counted = rules([
  'pl: There were {count1.c} {goods1.many} at the {place1}. After {person1} bought {count1.a}, {count1.b} {goods1.many} were left.',
  '{person1} had {count1.a} {goods1.many}. {person2} gave {person1.him} {count1.b} more, which made {count1.c}.',
  'pl: {count1.A} {goods1.many} and {count1.b} {goods1.many} make {count1.c} {goods1.many}.',
  '{person1} sold {count1.a} of {person1.her} {count1.c} {goods1.many} and kept {count1.b}.',
]);
const sum = rules([
  '{sum1.plus}',
  '{sum1.minus}',
  '{sum1.Words}.',
  '{sum1.Take}.',
  'Question: What is {sum1.asks}?\nAnswer: {sum1.total}.',
  'Question: What is {sum1.takes}?\nAnswer: {sum1.left}.',
]);

export const sums: Genre = {
  name: 'sum',
  about: 'sums and counts',
  rules: [counted, sum],
  write(writer) {
    const { random } = writer;
    const worded = random.chance(0.4);
    const count = worded ? 1 + random.below(2) : 2 + random.below(5);
    for (let i = 0; i < count; i++) {
      writer.forget('sum1', 'count1', 'goods1', 'person1', 'person2').say(worded ? counted : sum, { after: '\n' });
    }
    return writer.finish('sum', ['language:english']);
  },
};

const program = rules(
  ['boats', 'nets', 'coins', 'shells', 'sails', 'lamps', 'bells', 'crates'].flatMap((name) => [
    `${name} = {sum1.da}\n${name} = ${name} + {sum1.db}\nprint(${name})  # {sum1.total}`,
    `def add(${name}):\n    return ${name} + {sum1.da}\n\nprint(add({sum1.db}))  # {sum1.total}`,
    `${name} = ({sum1.da}, {sum1.db})\nprint(sum(${name}))  # {sum1.total}`,
    `for ${name} in range({sum1.da}):\n    print(${name} + {sum1.db})`,
    `if ${name} > {sum1.da}:\n    ${name} = ${name} - {sum1.da}\nelse:\n    ${name} = 0`,
  ]),
);

export const code: Genre = {
  name: 'code',
  about: 'a small program',
  rules: [program],
  write(writer) {
    writer.say(program);
    if (writer.random.chance(0.4)) writer.forget('sum1').say(program, { after: '\n\n' });
    return writer.finish('code', ['language:code']);
  },
};
