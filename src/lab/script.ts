/**
 * What is on the screen, as a script for the console: the same calls the page made, with the same numbers. Vectors are named
 * by their ids on this shelf.
 */
import type { ChatMessage } from '../../workers/api';
import type { Dial } from './dial';
import { toEdit } from './dial';
import type { Instrument, Sampling } from './session';
import type { Using } from './using';

export interface OnScreen {
  model: string;
  using: Using;
  /** Text, or the turns of a conversation. */
  prompt: string | readonly ChatMessage[];
  dials: readonly Dial[];
  master: number;
  compare: boolean;
  sampling: Sampling;
  instrument: Instrument;
  lens: { top: number; track?: number };
  /** The dictionary in Features, and its latent that is looked at. */
  features?: { dictionary: string; latent?: number };
  /** The dial schedule, as spans: from this generated token on, these numbers. */
  /** Lines that an instrument writes by itself, instead of the calls below. */
  own?: readonly string[];
  schedule: readonly { token: number; dials: readonly { value?: number; strength: number }[] }[];
}

/** A value as a person would write it: bare keys, a space after each comma. */
export function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, inner]) => `${key}: ${literal(inner)}`)
      .join(', ')} }`;
  }
  return JSON.stringify(value);
}

export function toScript(screen: OnScreen): string {
  const start = ['await lab.ready;', `await lab.use(${JSON.stringify(screen.model)}, ${literal(screen.using)});`];
  if (screen.own) return `${[...start, ...screen.own].join('\n')}\n`;
  const edits = screen.dials.map((dial) => `  ${literal(toEdit(dial, screen.master))}, // ${dial.name.replace(/\s+/g, ' ')}`);
  const lines = [
    ...start,
    ...(typeof screen.prompt === 'string'
      ? [`const prompt = ${literal(screen.prompt)};`]
      : [
          `const messages = [\n${screen.prompt.map((message) => `  ${literal(message)},`).join('\n')}\n];`,
          'const { ids: prompt } = await lab.chat(messages);',
        ]),
    edits.length ? `const edits = [\n${edits.join('\n')}\n];` : 'const edits = [];',
  ];
  if (screen.instrument === 'lens') {
    const track = screen.lens.track === undefined ? '' : `, track: ${screen.lens.track}`;
    lines.push(`const lens = await lab.lens({ prompt, kind: 'logit', top: ${screen.lens.top}${track}, edits });`);
    lines.push('console.table(lens.top.map((row) => row.map((cell) => cell[0].piece)));');
    return `${lines.join('\n')}\n`;
  }
  if (screen.instrument === 'features' && screen.features) {
    const { dictionary, latent } = screen.features;
    lines.push(`const dictionary = ${literal(dictionary)};`);
    lines.push('const { rows, errorNorm, inputNorm } = await lab.encode({ dictionary, prompt, edits });');
    lines.push('rows.forEach((row, p) => console.log(p, errorNorm[p] / inputNorm[p], row));');
    if (latent !== undefined) lines.push(`console.log(await lab.latent({ dictionary, latent: ${latent} }));`);
    return `${lines.join('\n')}\n`;
  }
  const { tokens, temperature, topK, topP, seed, shadow } = screen.sampling;
  const options = [`tokens: ${tokens}`, `temperature: ${temperature}`];
  if (topK > 0) options.push(`topK: ${topK}`);
  if (topP < 1) options.push(`topP: ${topP}`);
  options.push(`seed: ${seed}`);
  if (screen.compare) options.push('baseline: true');
  if (shadow) options.push('shadow: true');
  lines.push(`const stream = lab.generate({ prompt, edits, ${options.join(', ')} });`);
  const turns = screen.schedule.filter(({ token }) => token > 0);
  if (turns.length) {
    lines.push('// The dials as they were turned. Up to two tokens may be computed already when a turn is made.');
    lines.push(`const turns = ${literal(turns.map(({ token, dials }) => [token, dials]))};`);
    lines.push('let taken = 0;');
    lines.push('for await (const step of stream) {');
    lines.push('  taken += 1;');
    lines.push('  for (const [token, dials] of turns) if (token === taken) dials.forEach((dial, edit) => stream.dial(edit, dial));');
    lines.push('}');
  } else {
    lines.push('for await (const step of stream);');
  }
  lines.push('console.log(await stream.text());');
  return `${lines.join('\n')}\n`;
}

/** Where the numbers changed between generated tokens. */
export function spans(steps: readonly { dials: readonly { value?: number; strength: number }[] }[]): OnScreen['schedule'] {
  return steps.flatMap(({ dials }, token) => {
    const before = token > 0 ? steps[token - 1]?.dials : undefined;
    const same =
      before?.length === dials.length && dials.every((d, i) => d.value === before[i]?.value && d.strength === before[i]?.strength);
    return same ? [] : [{ token, dials }];
  });
}
