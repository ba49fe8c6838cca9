/**
 * The files worker's part in surveys: texts read as sequences of tokens, a chunk at a time, from any place on; and what surveys leave, kept beside
 * them. Nothing larger than a passage and a chunk is in memory, whatever the size of the text.
 */
import type { TextInfo } from './api';
import type { SurveyKey, SurveyRecord, TextRecord, TokenChunk } from './contract';
import { LabError } from './errors';
import { openText } from './formats/texts';
import { listSource, START, type Passage, type Place, type TextSource } from './formats/texts/passage';
import type { ModelTokenizer } from './formats/tokenizer';
import { hashParts } from './library/copy';
import type { Library } from './library/library';

interface Reading {
  passages: AsyncIterator<Passage>;
  tokenizer: ModelTokenizer;
  context: number;
  bos: boolean;
  /** Where the next chunk begins. */
  place: Place;
  /** The place's `at` when all is read. */
  end: number;
  release(): void;
}

export interface ReadRequest {
  model: string;
  text: string | readonly string[];
  context: number;
  bos: boolean;
  cursor?: string;
}

export const textInfo = ({ id, name, format, files, documents }: TextRecord): TextInfo => ({
  id,
  name,
  format,
  bytes: files.reduce((sum, each) => sum + each.bytes, 0),
  ...(documents === undefined ? {} : { documents }),
});

export class TextReadings {
  readonly #readings = new Map<string, Reading>();

  constructor(
    private readonly library: Library,
    private readonly tokenizer: (model: string) => Promise<ModelTokenizer>,
  ) {}

  async textOf(text: string | readonly string[]): Promise<{ id: string; name: string }> {
    if (typeof text === 'string') {
      const { id, name } = await this.library.text(text);
      return { id, name };
    }
    const first = (text[0] ?? '').trim().replace(/\s+/g, ' ');
    const clipped = first.length > 32 ? `${first.slice(0, 32)}…` : first;
    return {
      id: `given-${(await hashParts(text)).slice(0, 24)}`,
      name: text.length > 1 ? `${clipped} +${text.length - 1}` : clipped,
    };
  }

  async read({ model, text, context, bos, cursor }: ReadRequest): Promise<string> {
    const tokenizer = await this.tokenizer(model);
    const { source, release } = await this.source(text);
    const id = crypto.randomUUID();
    const place = cursor ? placeOf(cursor) : START;
    const passages = source.passages(place)[Symbol.asyncIterator]();
    this.#readings.set(id, { passages, tokenizer, context, bos, place, end: source.end, release });
    return id;
  }

  private async source(text: string | readonly string[]): Promise<{ source: TextSource; release(): void }> {
    if (typeof text !== 'string') return { source: listSource(text), release: () => undefined };
    const record = await this.library.text(text);
    const { blob, release } = await this.library.file(record, 'text');
    try {
      return { source: await openText(blob, record.format, record.name), release };
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  /** Whole passages, so that a chunk is the same wherever the reading began. */
  async next(id: string, tokens: number): Promise<TokenChunk> {
    const reading = this.#readings.get(id);
    if (!reading) throw new LabError('internal', 'This text is not being read.', 'This is a fault in Loupe. Please report it.');
    const cursor = JSON.stringify(reading.place);
    const from = reading.place.at / reading.end;
    const sequences: number[][] = [];
    let count = 0;
    let ended = false;
    while (count < tokens && !ended) {
      const { done, value } = await reading.passages.next();
      ended = done === true;
      if (done) break;
      reading.place = value.next;
      for (const sequence of sequencesOf(reading, value.text)) {
        sequences.push(sequence);
        count += sequence.length;
      }
    }
    return {
      cursor,
      ids: Uint32Array.from(sequences.flat()),
      lengths: Uint32Array.from(sequences, ({ length }) => length),
      ended,
      skipped: reading.place.skipped,
      from,
      to: ended ? 1 : reading.place.at / reading.end,
    };
  }

  async close(id: string): Promise<void> {
    const reading = this.#readings.get(id);
    this.#readings.delete(id);
    reading?.release();
    await reading?.passages.return?.();
  }

  async surveyId({ model, dictionary, text, context, under }: SurveyKey): Promise<string> {
    return `survey-${(await hashParts([model, dictionary, text, String(context), under])).slice(0, 24)}`;
  }

  async survey(id: string): Promise<{ record: SurveyRecord; state: Blob } | undefined> {
    const record = await this.library.survey(id);
    if (!record) return undefined;
    const { blob, release } = await this.library.file(record, 'survey');
    release();
    return { record, state: blob };
  }

  /** A survey whose dictionary has another contract now says nothing of it. */
  async surveys(dictionary?: string): Promise<SurveyRecord[]> {
    const specs = new Map((await this.library.dictionaries()).map(({ id, spec }) => [id, JSON.stringify(spec)]));
    const today = ({ dictionary: id, under }: SurveyRecord): boolean =>
      specs.get(id) === JSON.stringify((JSON.parse(under) as { spec: unknown }).spec);
    const all = (await this.library.surveys()).filter(
      (each) => (dictionary === undefined || each.dictionary === dictionary) && today(each),
    );
    return all.reverse();
  }
}

/** A passage in pieces that fit, each with the BOS. One that the text spells out itself is not doubled. */
function sequencesOf({ tokenizer, context, bos }: Reading, text: string): number[][] {
  const start = bos ? tokenizer.vocabulary.bos : undefined;
  const { ids } = tokenizer.encode(text, false);
  const head = start === undefined ? [] : [start];
  const body = ids[0] === start ? ids.slice(1) : ids;
  const room = Math.max(1, context - head.length);
  return Array.from({ length: Math.ceil(body.length / room) }, (_, i) => [...head, ...body.slice(i * room, (i + 1) * room)]);
}

function placeOf(cursor: string): Place {
  const { at, within, skipped } = JSON.parse(cursor) as Place;
  return { at, within, skipped };
}
