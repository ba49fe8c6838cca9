/** What Patch and Attention have on the screen, as calls: the request that was put, number for number, and how its answer is read. Fetched with those instruments. */
import type { AttributeRequest, HeadCircuitRequest, RunRequest, SweepRequest } from '../../workers/api';
import { isPath, type Request } from './patch-question';
import { literal } from './script';

export interface PatchScript {
  request: Request;
  methods: readonly NonNullable<SweepRequest['method']>[];
  /** The two texts, to be read by a person. */
  texts: readonly [clean: string, other: string];
  attribute?: AttributeRequest | undefined;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

export function patchLines({ request, methods, texts, attribute }: PatchScript): string[] {
  const [clean, other] = texts.map(oneLine);
  const lines = [
    `// clean: ${clean}`,
    ...(other === clean ? [] : [`// corrupted: ${other}`]),
    `const request = ${literal(request)};`,
    ...(isPath(request)
      ? ['const grid = await lab.pathPatch(request);']
      : methods.map((method) => `const ${nameOf(method)} = await lab.sweep({ ...request, method: ${literal(method)} });`)),
  ];
  const grids = isPath(request) ? ['grid'] : methods.map(nameOf);
  lines.push(...grids.map((grid) => `console.log(${grid}.axes, ${grid}.value.shape, ${grid}.value.data);`));
  if (attribute) {
    lines.push(`const { parts, total } = await lab.attribute(${literal(attribute)});`, 'console.table(parts);', 'console.log(total);');
  }
  return lines;
}

const nameOf = (method: string): string => (method === 'exact' ? 'grid' : method);

export interface AttentionScript {
  /** The run whose patterns are on the screen. */
  run: RunRequest;
  layer: number;
  head: number;
  scored: boolean;
  circuit?: HeadCircuitRequest['circuit'] | undefined;
}

export function attentionLines({ run, layer, head, scored, circuit }: AttentionScript): string[] {
  const hook = `blocks.${layer}.attn.hook_pattern`;
  const { prompt, edits, promptLength } = run;
  return [
    `const hook = ${literal(hook)};`,
    `const run = await lab.run({ prompt: ${literal(prompt)}, promptLength: ${literal(promptLength)}, edits: ${literal(edits)}, taps: [hook], logits: "none" });`,
    'const { shape, data } = run.taps[hook]; // [head, query, key]',
    'const [, queries, keys] = shape;',
    `const map = Array.from({ length: queries }, (_, q) => data.slice((${head} * queries + q) * keys, (${head} * queries + q + 1) * keys));`,
    'console.table(map);',
    ...(scored
      ? [`console.log(await lab.headScores({ edits: ${literal(edits?.filter(({ where }) => where === undefined || where === 'all'))} }));`]
      : []),
    ...(circuit ? [`console.log(await lab.headCircuit(${literal({ layer, head, circuit })}));`] : []),
  ];
}
