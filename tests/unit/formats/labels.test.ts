import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { OpenedFile } from '../../../workers/contract';
import type { LabError } from '../../../workers/errors';
import { labelsIn, readLabels } from '../../../workers/import-labels';
import type { LabelGroup } from '../../../workers/formats/labels/read-label';
import { opened } from '../safetensors-writer';

const record = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  modelId: 'gpt2-small',
  layer: '8-res-jb',
  index: '3',
  description: 'fog and mist',
  typeName: 'oai_token-act-pair',
  explanationModelName: 'gpt-4o-mini',
  ...more,
});
const lines = (...records: unknown[]): string => records.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('\n');
const packed = (path: string, text: string | Uint8Array): OpenedFile => ({
  path,
  file: new File([new Uint8Array(gzipSync(text))], path.split('/').pop() ?? ''),
});
const BATCH = 'gpt2-small/8-res-jb/explanations/batch-0.jsonl.gz';

async function read(...files: OpenedFile[]): Promise<{ groups: LabelGroup[]; ignored: string[]; rest: string[]; reasons: LabError[] }> {
  const found = await labelsIn(files);
  const reasons: LabError[] = [];
  const groups = await readLabels(found, reasons, new AbortController().signal);
  return { groups, reasons, ignored: found.ignored.map(({ file }) => file), rest: found.rest.map(({ path }) => path) };
}
const labelsOf = async (...files: OpenedFile[]): Promise<LabelGroup['labels']> => {
  const { groups, reasons } = await read(...files);
  expect(reasons).toEqual([]);
  return groups.flatMap(({ labels }) => labels);
};
const codes = async (...files: OpenedFile[]): Promise<string[]> => (await read(...files)).reasons.map(({ code }) => code);

describe('Neuronpedia’s explanations', () => {
  it('are read line by line out of a packed batch, with their source and score', async () => {
    const scored = record({
      index: '12',
      description: '  the word “lamp”\t',
      scores: [
        { value: 0.75, explanationScoreTypeName: 'eleuther_recall', explanationScoreModelName: 'claude' },
        { value: 0.1, explanationScoreTypeName: 'other' },
      ],
    });
    const bare = record({ index: 0, explanationModelName: null, typeName: undefined, description: 'dogs' });
    expect(await labelsOf(packed(BATCH, `${lines(record(), scored, bare)}\n\n`))).toEqual([
      { latent: 3, text: 'fog and mist', source: 'Neuronpedia · gpt-4o-mini · oai_token-act-pair' },
      {
        latent: 12,
        text: 'the word “lamp”',
        source: 'Neuronpedia · gpt-4o-mini · oai_token-act-pair',
        score: 0.75,
        scoreName: 'eleuther_recall · claude',
      },
      { latent: 0, text: 'dogs', source: 'Neuronpedia' },
    ]);
  });
  it('are read unpacked too, whatever the name says of packing, and as a list', async () => {
    const text = lines(record(), record({ index: '4' }));
    const wanted = await labelsOf(packed(BATCH, text));
    expect(await labelsOf(opened(BATCH, text))).toEqual(wanted);
    expect(await labelsOf(packed(BATCH.replace('.gz', ''), text))).toEqual(wanted);
    expect(await labelsOf(packed('batch-7.jsonl.gz', text))).toEqual(wanted);
    expect(await labelsOf(opened('gpt2-small_8-res-jb.json', JSON.stringify([record(), record({ index: '4' })], null, 2)))).toEqual(wanted);
  });
  it('are told apart by the dictionary that they are of; the largest latent is known by its line', async () => {
    const { groups } = await read(packed(BATCH, lines(record(), record({ layer: '9-res-jb', index: '40' }), record({ index: '7' }))));
    expect(groups.map(({ neuronpedia, labels, highest }) => [neuronpedia, labels.length, highest])).toEqual([
      ['gpt2-small/8-res-jb', 2, { latent: 7, where: `${BATCH}, line 3,` }],
      ['gpt2-small/9-res-jb', 1, { latent: 40, where: `${BATCH}, line 2,` }],
    ]);
  });
  it('several of one latent: each source has one, the better scored, and it is said how many gave way', async () => {
    const score = (value: number) => ({ scores: [{ value, explanationScoreTypeName: 'x' }] });
    const { groups, ignored } = await read(
      packed(
        BATCH,
        lines(
          record({ description: 'good', ...score(0.9) }),
          record({ description: 'bad', ...score(0.2) }),
          record({ description: 'unscored' }),
          record({ description: 'another model’s', explanationModelName: 'o1' }),
        ),
      ),
    );
    expect(groups[0]?.labels.map(({ text }) => text)).toEqual(['good', 'another model’s']);
    expect(ignored).toEqual([`${BATCH}: 2 of its labels`]);
  });
  it('come also in lists of their own, with their scores', async () => {
    const { explanationModelName, typeName, description, ...latent } = record();
    const explanations = [
      { description, explanationModelName, typeName, scores: [] },
      { description: '', explanationModelName },
    ];
    expect(await labelsOf(packed('x/explanation-scores/batch-0.jsonl.gz', lines({ ...latent, explanations })))).toEqual([
      { latent: 3, text: 'fog and mist', source: 'Neuronpedia · gpt-4o-mini · oai_token-act-pair' },
    ]);
  });
  it('what stands beside them is left out, and it is said why', async () => {
    const base = 'gpt2-small/8-res-jb';
    const { groups, ignored, rest } = await read(
      packed(BATCH, lines(record())),
      packed(`${base}/features/batch-0.jsonl.gz`, 'whatever'),
      packed(`${base}/activations/batch-0.jsonl.gz`, 'whatever'),
      packed('batch-3.jsonl.gz', lines({ modelId: 'm', layer: 'l', index: '0', pos_str: [] })),
      packed(`${base}/source.jsonl`, lines({ id: '8-res-jb', modelId: 'gpt2-small' })),
      opened('notes/log.jsonl', '{"loss": 3}\n'),
      opened('notes/half.jsonl', '{"loss'),
      opened('model/vocab.json', '[{"modelId": 1, "description": 2}]'),
    );
    expect(groups).toHaveLength(1);
    expect(ignored).toHaveLength(4);
    expect(rest).toEqual(['notes/log.jsonl', 'notes/half.jsonl', 'model/vocab.json']);
  });
});

describe('labels.json', () => {
  const file = (value: unknown, path = 'dict/labels.json') => opened(path, typeof value === 'string' ? value : JSON.stringify(value));
  const good = { source: 'Lanternwick’s ground truth', labels: [{ latent: 2, label: 'fog' }] };
  it('is read, F1 as the score, the rest in the note', async () => {
    const labels = [
      { latent: 2, label: ' fog ', precision: 0.90001, recall: 0.8, f1: 0.85, note: 'a word' },
      { latent: 0, label: 'mist', recall: 1 },
      { latent: 1, label: 'rain' },
    ];
    const { source } = good;
    expect(await labelsOf(file({ source, labels }))).toEqual([
      { latent: 2, text: 'fog', source, score: 0.85, scoreName: 'F1', note: 'a word; precision 0.9, recall 0.8' },
      { latent: 0, text: 'mist', source, score: 1, scoreName: 'recall' },
      { latent: 1, text: 'rain', source },
    ]);
  });
  it('is known by what it holds where it has another name, and left alone where it is somebody else’s', async () => {
    expect(await labelsOf(file(good, 'labels (1).json'))).toHaveLength(1);
    expect((await read(file({ 0: 'cat' }, 'labels.json'))).rest).toEqual(['labels.json']);
    expect((await read(opened('m/config.json', '{}'), file('{"0":', 'm/labels.json'))).rest).toEqual(['m/config.json', 'm/labels.json']);
  });
  it.each([
    ['{"source": "x", "labels": [', 'readable JSON'],
    [{ labels: [] }, '“source”'],
    [{ source: 7, labels: [] }, '“source”'],
    [{ source: 's'.repeat(201), labels: [] }, '“source”'],
    [{ source: 's', labels: [7] }, 'label 1'],
    [{ ...good, labels: [{ latent: 1.5, label: 'x' }] }, '1.5'],
    [{ ...good, labels: [{ latent: -1, label: 'x' }] }, '-1'],
    [{ ...good, labels: [{ latent: 1e300, label: 'x' }] }, '1e+300'],
    [{ ...good, labels: [{ label: 'x' }] }, '“latent”'],
    [{ ...good, labels: [{ latent: 1, label: ' ' }] }, 'empty'],
    [{ ...good, labels: [{ latent: 1, label: ['x'] }] }, 'no text'],
    [{ ...good, labels: [{ latent: 1, label: 'x', f1: 'high' }] }, '“f1”'],
    [{ ...good, labels: [{ latent: 1, label: 'x'.repeat(10_001) }] }, '10001'],
    [{ ...good, dictionary: 5 }, '“dictionary”'],
  ])('is refused by what is wrong (%#)', async (value, said) => {
    const { reasons, groups } = await read(file(value));
    expect(groups).toEqual([]);
    expect(reasons.map(({ code }) => code)).toEqual(['labels-garbage']);
    expect(reasons[0]?.message).toContain(said);
  });
});

describe('hostile files', () => {
  it.each([
    ['{"modelId": "m"', 'line 2'],
    ['[]', 'line 2'],
    [record({ index: 'three' }), '"three"'],
    [record({ index: '-3' }), '"-3"'],
    [record({ index: '9'.repeat(30) }), '9999'],
    [record({ index: null }), 'null'],
    [record({ description: 5 }), '“description”'],
    [record({ description: 'x'.repeat(10_001) }), '10001'],
    [record({ modelId: '' }), '“modelId”'],
    [record({ layer: ['8-res-jb'] }), '“layer”'],
    [record({ scores: 'many' }), '“scores”'],
    [record({ scores: [{ value: 'high' }] }), 'score'],
    [{ ...record(), explanations: [1] }, '“explanations”'],
  ])('a bad line is named (%#)', async (bad, said) => {
    const { reasons, groups } = await read(packed(BATCH, lines(record(), bad, record())));
    expect(groups).toEqual([]);
    expect(reasons.map(({ code }) => code)).toEqual(['labels-garbage']);
    expect(reasons[0]?.message).toContain('line 2');
    expect(reasons[0]?.message).toContain(said);
  });
  it('a batch that is cut short, damaged, or no text', async () => {
    const whole = gzipSync(lines(...Array.from({ length: 500 }, (_, i) => record({ index: i, description: `word ${Math.sin(i)}` }))));
    const cut = (bytes: Uint8Array) => ({ path: BATCH, file: new File([new Uint8Array(bytes)], 'batch-0.jsonl.gz') });
    const damaged = Uint8Array.from(whole);
    damaged.fill(255, 200, 260);
    expect(await codes(cut(whole.subarray(0, whole.length / 2)))).toEqual(['labels-garbage']);
    expect(await codes(cut(damaged))).toEqual(['labels-garbage']);
    expect(await codes(packed(BATCH, Uint8Array.of(0xff, 0xfe, 0xc0)))).toEqual(['labels-garbage']);
    expect(await labelsOf(cut(whole))).toHaveLength(500);
  });
  it('a bomb is given up: one endless line, endless lines, endless blanks', async () => {
    const bomb = (bytes: Uint8Array) => ({ path: BATCH, file: new File([new Uint8Array(gzipSync(bytes))], 'batch-0.jsonl.gz') });
    const endless = bomb(new Uint8Array(40e6).fill(0x20));
    expect(endless.file.size).toBeLessThan(50e3);
    const blanks = new Uint8Array(520e6).fill(0x20);
    for (let at = 0; at < blanks.length; at += 1e6) blanks[at] = 0x0a;
    for (const each of [endless, bomb(new Uint8Array(6e6).fill(0x0a)), bomb(blanks)])
      expect(await codes(each)).toEqual(['labels-too-large']);
  }, 60_000);
});
