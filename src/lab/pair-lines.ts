/** Pairs of prompts as lines of text: clean, contrast and, where they have their own, the two answers, with tabs between (as a spreadsheet copies) or bars. */

export interface PairText {
  clean: string;
  contrast: string;
  /** The pair's own answers; without them, the question's. */
  correct?: string;
  wrong?: string;
}

const cells = (line: string): string[] => (line.includes('\t') ? line.split('\t') : line.split('|')).map((cell) => cell.trim());

/** None where the line has no two texts. */
export function parseLine(line: string): PairText | undefined {
  const [clean = '', contrast = '', correct = '', wrong = ''] = cells(line);
  if (clean === '' || contrast === '') return undefined;
  return { clean, contrast, ...(correct === '' ? {} : { correct }), ...(wrong === '' ? {} : { wrong }) };
}

export const lineOf = ({ clean, contrast, correct = '', wrong = '' }: PairText): string =>
  [clean, contrast, ...(correct || wrong ? [correct] : []), ...(wrong ? [wrong] : [])].join('\t');

export const samePair = (a: PairText, b: PairText): boolean => lineOf(a) === lineOf(b);

/** What was kept is not trusted. */
export function readPairs(value: unknown): PairText[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown): PairText[] => {
    if (typeof each !== 'object' || each === null) return [];
    const { clean, contrast, correct, wrong } = each as Record<string, unknown>;
    if (typeof clean !== 'string' || typeof contrast !== 'string') return [];
    return [{ clean, contrast, ...(typeof correct === 'string' ? { correct } : {}), ...(typeof wrong === 'string' ? { wrong } : {}) }];
  });
}
