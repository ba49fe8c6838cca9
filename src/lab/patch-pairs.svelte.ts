/**
 * A set of contrast pairs, over which a sweep is averaged. Pairs are kept as text and read with the model in use: each is aligned by itself and its answers made
 * tokens, and what does not line up is explained and left out, never dropped. Lines that cannot be taken stay where they were written.
 */
import type { Lab, Metric, SweepRequest } from '../../workers/api';
import { align, type Token } from './contrast';
import { labError } from './jobs';
import { parseLine, readPairs, samePair, type PairText } from './pair-lines';

export interface ReadPair {
  text: PairText;
  clean: Token[];
  corrupted: Token[];
  correct?: Token;
  wrong?: Token;
  problem?: { message: string; hint: string };
}
export interface Complaint {
  line: number;
  message: string;
  hint: string;
}

/** One token that reads so; words are tried with their leading space first, as they stand in running text. */
export async function tokenOf(lab: Pick<Lab, 'token'>, text: string): Promise<Token> {
  return lab.token(text.startsWith(' ') ? text : ` ${text}`).catch(() => lab.token(text));
}

async function readPair(lab: Pick<Lab, 'tokenize' | 'token'>, text: PairText): Promise<ReadPair> {
  const tokens = async (of: string): Promise<Token[]> => {
    const { ids, pieces } = await lab.tokenize(of);
    return ids.map((id, i) => ({ id, piece: pieces[i] ?? '' }));
  };
  try {
    const [clean, corrupted] = await Promise.all([tokens(text.clean), tokens(text.contrast)]);
    const { problem } = align(clean, corrupted);
    if (problem) return { text, clean, corrupted, problem };
    const correct = text.correct === undefined ? undefined : await tokenOf(lab, text.correct);
    const wrong = text.wrong === undefined ? undefined : await tokenOf(lab, text.wrong);
    return { text, clean, corrupted, ...(correct ? { correct } : {}), ...(wrong ? { wrong } : {}) };
  } catch (thrown) {
    const { message, hint } = labError(thrown);
    return { text, clean: [], corrupted: [], problem: { message, hint } };
  }
}

export class PairSet {
  /** The sweep runs over the set, not over the pair at hand. */
  on = $state(false);
  list = $state.raw<readonly PairText[]>([]);
  /** Lines that are being written. */
  draft = $state('');
  complaints = $state.raw<readonly Complaint[]>([]);
  read = $state.raw<readonly ReadPair[]>([]);
  reading = $state(false);
  #ticket = 0;

  constructor(private readonly lab: Pick<Lab, 'tokenize' | 'token'>) {}

  /** Those that line up under the model in use. */
  good: ReadPair[] = $derived(this.read.filter(({ problem }) => problem === undefined));
  /** They were read as they stand now. */
  settled: boolean = $derived(this.read.length === this.list.length && this.read.every(({ text }, i) => text === this.list[i]));

  /** With the model in use; to be called when it, or the list, has changed. */
  async again(): Promise<void> {
    const ticket = ++this.#ticket;
    const { list } = this;
    const read = await Promise.all(list.map((text) => readPair(this.lab, text)));
    if (ticket === this.#ticket) this.read = read;
  }

  has(pair: PairText): boolean {
    return this.list.some((each) => samePair(each, pair));
  }
  async add(...pairs: readonly PairText[]): Promise<void> {
    const fresh = pairs.filter((pair, i) => !this.has(pair) && pairs.findIndex((each) => samePair(each, pair)) === i);
    if (fresh.length === 0) return;
    this.list = [...this.list, ...fresh];
    await this.again();
  }
  async remove(pair: PairText): Promise<void> {
    this.list = this.list.filter((each) => each !== pair);
    if (this.list.length === 0) this.on = false;
    await this.again();
  }

  /** The lines that are pairs go to the set; the others stay where they are, each with what is the matter with it. */
  async addLines(): Promise<void> {
    if (this.reading) return;
    this.reading = true;
    try {
      const { draft } = this;
      const lines = draft.split(/\r?\n/).filter((line) => line.trim() !== '');
      const found = await Promise.all(lines.map(async (line) => this.#check(line)));
      // What was written meanwhile is another text: it waits for its own press.
      if (draft !== this.draft) return;
      const stay = found.filter((each) => 'message' in each);
      this.complaints = stay.map(({ message, hint }, i) => ({ line: i + 1, message, hint }));
      this.draft = stay.map(({ line }) => line).join('\n');
      await this.add(...found.flatMap((each) => ('pair' in each ? [each.pair] : [])));
    } finally {
      this.reading = false;
    }
  }

  async #check(line: string): Promise<{ pair: PairText } | { line: string; message: string; hint: string }> {
    const pair = parseLine(line);
    if (!pair)
      return {
        line,
        message: 'It has no two texts.',
        hint: 'Write the prompt and its contrast with a tab or a bar | between; then, if the pair has its own answers, those.',
      };
    const { problem } = await readPair(this.lab, pair);
    return problem ? { line, ...problem } : { pair };
  }

  kept(): Record<string, unknown> {
    const { on, list, draft } = this;
    return { on, list, draft };
  }
  restore(saved: unknown): void {
    if (typeof saved !== 'object' || saved === null) return;
    const { on, list, draft } = saved as Record<string, unknown>;
    this.list = readPairs(list);
    this.on = on === true && this.list.length > 0;
    if (typeof draft === 'string') this.draft = draft;
  }
}

/** The question with a pair's own answers in it; none where it has none of its own. */
export function ownMetric(metric: Metric, { correct, wrong }: Pick<ReadPair, 'correct' | 'wrong'>): Metric | undefined {
  if (metric.kind === 'kl' || (!correct && !wrong)) return undefined;
  const position = metric.position === undefined ? {} : { position: metric.position };
  if (metric.kind === 'logit-diff')
    return { kind: metric.kind, correct: correct?.id ?? metric.correct, wrong: wrong?.id ?? metric.wrong, ...position };
  return correct && { kind: metric.kind, token: correct.id, ...position };
}

/** Pairs as a request has them: the first as its own, each with its own answers where it has some. */
export function asked(
  [first, ...rest]: readonly Pick<ReadPair, 'clean' | 'corrupted' | 'correct' | 'wrong'>[],
  metric: Metric,
): Pick<SweepRequest, 'pairs' | 'metric'> & { clean: number[]; corrupted: number[] } {
  const ids = (tokens: readonly Token[] = []) => tokens.map(({ id }) => id);
  const pairs = rest.map((pair) => ({ clean: ids(pair.clean), corrupted: ids(pair.corrupted), metric: ownMetric(metric, pair) ?? metric }));
  const own = (first && ownMetric(metric, first)) ?? metric;
  return { clean: ids(first?.clean), corrupted: ids(first?.corrupted), ...(pairs.length ? { pairs } : {}), metric: own };
}
