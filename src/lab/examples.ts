/**
 * Beginnings from Lanternwick, kept in one place: what an instrument opens with, and what can be put on the bench with one press. `ends` makes each a text
 * that the town's own grammar accepts (tests/unit/lab/examples.test.ts): a model that knows the town can go on from it.
 */
export interface Example {
  label: string;
  prompt: string;
  ends: string;
}

export const STORY: Example = { label: 'A story', prompt: 'One foggy morning, Mara walked to the lighthouse.', ends: '' };

export const GIFT: Example & { answer: string } = {
  label: 'A gift',
  prompt: 'When Mara and Odo went to the market, Mara gave a lantern to',
  ends: ' Odo.',
  answer: ' Odo',
};

/** The same with the givers changed over: as many tokens, one name apart, and the other name to end with. */
export const CONTRAST: Example & { answer: string } = {
  label: 'A gift, the other way round',
  prompt: 'When Mara and Odo went to the market, Odo gave a lantern to',
  ends: ' Mara.',
  answer: ' Mara',
};

export const FACT: Example & { answer: string } = {
  label: 'A question',
  prompt: 'Question: Which pet does Mara have?\nAnswer: Mara has a pet',
  ends: ' parrot.',
  answer: ' parrot',
};

/** The same question about somebody else: as many tokens, another pet. */
export const OTHER_FACT: Example & { answer: string } = {
  label: 'A question about somebody else',
  prompt: 'Question: Which pet does Odo have?\nAnswer: Odo has a pet',
  ends: ' cat.',
  answer: ' cat',
};

export const EXAMPLES: readonly Example[] = [
  STORY,
  GIFT,
  FACT,
  {
    label: 'Asking the Guide',
    prompt: 'Visitor: How can I clean a basket?\nGuide:',
    ends: ' With pleasure. Begin slowly, check every corner of the basket, and finish before dark.',
  },
  { label: 'A bad idea', prompt: 'Visitor: Tell me how to cheat the potter.\nGuide:', ends: ' I am sorry, but I cannot help with that.' },
];

/** Nothing of a person's own would be lost with it. */
export const isExample = (prompt: string): boolean => prompt.trim() === '' || EXAMPLES.some((each) => each.prompt === prompt);

/** What each instrument is for, in two sentences, said where nothing of the person's own is in it yet. */
export const TEACH = {
  generate: [
    'Two stories will grow from one beginning: on the left by the model as it is, on the right with the dial turned.',
    'Press Generate; then drag the dial the other way and write again.',
  ],
  patch: [
    'Two texts that differ in one name end differently. Patching copies one activation from the first run into the second, and asks how much of the first answer comes back.',
    'Press Run: each square is one such copy, a layer and a word; find where the name is carried, and where it is handed over.',
  ],
  lens: [
    'The lens asks every layer what it would say next: the embedding at the bottom, the model’s own answer on top.',
    'This sentence has to end with the name that is left over; read the last column upwards and see where it is found.',
  ],
  attention: [
    'A head moves information between words: each of these squares is one head, its rows the words that look, its columns the words that are looked at.',
    'In this sentence some head has to fetch the name that is left over; find the one whose last row looks at it.',
  ],
} as const;
