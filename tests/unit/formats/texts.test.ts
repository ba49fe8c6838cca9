/** Texts out of files: every form read whole, from any place on, and what is none refused with a reason. */
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TextFormat } from '../../../workers/contract';
import { findTexts, openText } from '../../../workers/formats/texts';
import { listSource, PASSAGE, START, type Passage, type Place, type TextSource } from '../../../workers/formats/texts/passage';
import { refusal } from '../refusal';

const fileOf = (name: string, ...parts: BlobPart[]): File => new File(parts, name);
async function all(source: TextSource, from: Place = START): Promise<Passage[]> {
  const found: Passage[] = [];
  for await (const each of source.passages(from)) found.push(each);
  return found;
}
const texts = async (format: TextFormat, ...parts: BlobPart[]): Promise<string[]> =>
  (await all(await openText(fileOf('x', ...parts), format, 'x'))).map(({ text }) => text);
const code = async (format: TextFormat, ...parts: BlobPart[]) => {
  const { code: found, message } = await refusal(() => openText(fileOf('x', ...parts), format, `x.${format}`));
  return [found, message];
};

/** Every place that a reading passes is one that it can begin at. */
async function resumes(source: TextSource): Promise<void> {
  const whole = await all(source);
  for (const [i, { next }] of whole.entries())
    expect((await all(source, JSON.parse(JSON.stringify(next)) as Place)).map(({ text }) => text)).toEqual(
      whole.slice(i + 1).map(({ text }) => text),
    );
}

describe('.txt', () => {
  it('is one document, or several between marks, its BOM left out', async () => {
    expect(await texts('txt', '\uFEFFAé once')).toEqual(['Aé once']);
    expect(await texts('txt', 'one<|endoftext|>two<|endoftext|><|endoftext|>three')).toEqual(['one', 'two', 'three']);
  });
  it('is cut at lines, else before spaces, else between characters, and nothing is lost', async () => {
    const line = `${'word '.repeat(199)}end\n`;
    for (const text of [line.repeat(300), 'word '.repeat(40_000), 'é'.repeat(100_000), '😀'.repeat(50_000)]) {
      const found = await texts('txt', text);
      expect(found.length).toBeGreaterThan(2);
      expect(found.join('') === text).toBe(true);
      expect(Math.max(...found.map(({ length }) => length))).toBeLessThanOrEqual(65_536);
    }
    expect((await texts('txt', line.repeat(300))).every((each) => each.endsWith('end\n'))).toBe(true);
  });
  it('finds a mark wherever pieces end', async () => {
    for (const before of [65_530, 65_535, 65_523, 65_536]) {
      const parts = await texts('txt', 'x'.repeat(before), '<|endoftext|>', 'y');
      expect([parts.join('').length, parts.at(-1)]).toEqual([before + 1, 'y']);
    }
  });
  it('is read on from any place, with bytes that are no UTF-8 in it', async () => {
    const file = fileOf('x', 'a line\n'.repeat(20_000), Uint8Array.of(0xff, 0x41, 0xe2, 0x82), ' and\n'.repeat(30_000));
    await resumes(await openText(file, 'txt', 'x'));
  });
  it('that is none is refused', async () => {
    expect((await code('txt', ''))[0]).toBe('text-empty');
    expect((await code('txt', Uint8Array.of(0xff, 0xfe, 0x41, 0)))[0]).toBe('text-encoding');
    expect((await code('txt', 'ab', Uint8Array.of(0)))[0]).toBe('text-garbage');
  });
});

describe('.jsonl', () => {
  it('is a document a line: its text, else its first text, else the line itself', async () => {
    const lines = ['{"id":1,"title":"t","text":"a\\nb"}', '', '{"n":2,"story":"c"}', '"d"\r'];
    expect(await texts('jsonl', lines.join('\n'))).toEqual(['a\nb', 'c', 'd']);
  });
  it('names the line that is wrong when dropped, and counts those that come later', async () => {
    expect(await code('jsonl', '{"text":"a"}\n{"text":')).toEqual(['text-garbage', expect.stringContaining('line 2') as unknown]);
    expect((await code('jsonl', '{"text":"a"}\n\n[1]'))[1]).toContain('line 3');
    expect((await code('jsonl', '\n \n'))[0]).toBe('text-empty');
    const lines = [...Array.from({ length: 100 }, (_, i) => `{"text":"${i}"}`), 'nonsense', '{"n":1}', '{"text":"last"}'];
    const found = await all(await openText(fileOf('x', lines.join('\n')), 'jsonl', 'x'));
    expect(found).toHaveLength(101);
    expect(found.at(-1)).toMatchObject({ text: 'last', next: { skipped: 2 } });
  });
  it('is read on from any place, within a document as well', async () => {
    const lines = ['short', 'long '.repeat(20_000), '', 'é'.repeat(70_000), 'end'].map((text) => JSON.stringify({ text }));
    await resumes(await openText(fileOf('x', lines.join('\n')), 'jsonl', 'x'));
  });
});

describe('.json', () => {
  it('is a list of texts or of objects', async () => {
    expect(await texts('json', '["a", {"text":"b"}, 3]')).toEqual(['a', 'b']);
    expect((await code('json', '["a",'))[0]).toBe('text-garbage');
    expect((await code('json', '[1, 2]'))[0]).toBe('text-empty');
  });
});

describe('.parquet', () => {
  const fixture = async (name: string): Promise<Uint8Array<ArrayBuffer>> =>
    new Uint8Array(await readFile(new URL(`texts/${name}.parquet`, import.meta.url)));
  it.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4'])('%s: the column “text”, row group after row group', async (name) => {
    const source = await openText(fileOf('x', await fixture(name)), 'parquet', 'x');
    expect(source.documents).toBe(7);
    const found = await all(source);
    expect(found.map(({ text }) => text)).toEqual(['Once upon a time', 'there was a “mill”.', 'three', 'four 😀', 'five', 'seven']);
    expect(found.at(-1)?.next.skipped).toBe(1);
    await resumes(source);
  });
  it('takes the first column of texts where none is called so, nested ones apart', async () => {
    const found = await all(await openText(fileOf('x', await fixture('story')), 'parquet', 'x'));
    expect(found.map(({ text }) => text)).toEqual(['a', 'b']);
  });
  it('that is none is refused', async () => {
    const whole = await fixture('snappy');
    expect((await code('parquet', 'PAR1'))[0]).toBe('text-garbage');
    expect((await code('parquet', whole.subarray(0, whole.length - 9)))[0]).toBe('text-garbage');
    expect(await code('parquet', await fixture('numbers'))).toEqual(['text-garbage', expect.stringContaining('no column') as unknown]);
  });
});

describe('passages of any documents', () => {
  it('are the documents, put together, and can be begun at any of their places', async () => {
    const piece = fc.oneof(fc.string(), fc.constantFrom('a '.repeat(20_000), '😀'.repeat(20_000), 'x'.repeat(PASSAGE), '\n'));
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 5 }), async (documents) => {
        const source = listSource(documents);
        expect((await all(source)).map(({ text }) => text).join('')).toBe(documents.join(''));
        expect((await all(source)).every(({ text }) => text.length > 0 && text.length <= PASSAGE)).toBe(true);
        await resumes(source);
      }),
      { numRuns: 25 },
    );
  });
});

describe('in a drop', () => {
  const opened = (path: string, content = 'x') => ({ path, file: fileOf(path.split('/').pop() ?? '', content) });
  const found = async (...paths: [string, string?][]) =>
    (await findTexts(paths.map(([path, content]) => opened(path, content)))).texts.map(({ path }) => path);
  it('texts are told by their names; what belongs to a model or a dictionary is none', async () => {
    expect(
      await found(
        ['a.txt'],
        ['b.JSONL'],
        ['c.parquet'],
        ['d.json', ' ["x"]'],
        ['e.json', '{"a":1}'],
        ['vocab.txt'],
        ['README.txt'],
        ['f.md'],
      ),
    ).toEqual(['a.txt', 'b.JSONL', 'c.parquet', 'd.json']);
    expect(await found(['m/config.json', '{}'], ['m/notes.txt'], ['m/sub/more.txt'], ['t/story.txt'])).toEqual(['t/story.txt']);
    expect(await found(['sae/params.npz'], ['sae/about.txt'])).toEqual([]);
    expect(await found(['model.safetensors'], ['config.json', '{}'], ['story.txt'])).toEqual(['story.txt']);
  });
});
