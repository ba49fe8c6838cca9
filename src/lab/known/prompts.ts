/** The sentences that the published figures were measured on: data of Wang et al. 2022's task, as TransformerLens's demos use it. */

export interface IndirectObject {
  clean: string;
  /** The same sentence with the other name as its subject. */
  corrupted: string;
  correct: string;
  wrong: string;
}

const SENTENCES = [
  ['When John and Mary went to the shops,', ' gave the bag to', ' Mary', ' John'],
  ['When Tom and James went to the park,', ' gave the ball to', ' Tom', ' James'],
  ['When Dan and Sid went to the shops,', ' gave an apple to', ' Dan', ' Sid'],
  ['After Martin and Amy went to the park,', ' gave a drink to', ' Martin', ' Amy'],
] as const;

/** Four sentences in both orders: of each pair of neighbours one is the other's corrupted prompt. */
export const EIGHT: readonly IndirectObject[] = SENTENCES.flatMap(([before, after, first, second]) => {
  const said = (subject: string) => `${before}${subject}${after}`;
  return [
    { clean: said(second), corrupted: said(first), correct: first, wrong: second },
    { clean: said(first), corrupted: said(second), correct: second, wrong: first },
  ];
});

/** Of the eight, BOS included: where the subject is said again, and the last token. */
export const [SECOND_NAME, END] = [10, 14];

export const MILK = 'After John and Mary went to the store, John gave a bottle of milk to';
export const MILK_MARY = 'After John and Mary went to the store, Mary gave a bottle of milk to';
export const CHICKEN = 'Why did the chicken cross the';
