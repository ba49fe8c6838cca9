/** The checks, one after another, on the shipped files: builds and serves the site, prints a table, writes build/world/check.json. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { attribution } from './attribution';
import { Benches } from './bench';
import { encoder } from '../stream';
import { judge, table, type Claim, type Result } from './claim';
import { dictionaries } from './dictionaries';
import { facts } from './facts';
import { hashes } from './files';
import { heads } from './heads';
import { indirectObjects } from './indirect-objects';
import { induction } from './induction';
import { latents } from './latents';
import { mood } from './mood';
import { parser } from './parser';
import { patching } from './patching';
import { refusal } from './refusal';
import { sampled } from './sampled';

export const options = {
  /** A folder with config.json, model.safetensors … to open, instead of the model that the page brings. */
  model: { type: 'string' },
  /** Instead of the vectors that the built site serves. */
  vectors: { type: 'string' },
  only: { type: 'string', default: '' },
  /** For trying things out: one prompt in so many. Samples are then too small, and the bars say so. */
  smaller: { type: 'string', default: '1' },
  pages: { type: 'string', default: '2' },
  out: { type: 'string', default: 'build/world' },
} as const;

export async function main(root: string, args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const vectors = values.vectors ?? join(root, 'dist', 'demo', 'vectors.safetensors');
  const demo = join(root, 'dist', 'demo');
  const model = values.model ?? join(demo, 'lanternwick');
  const { encode } = encoder(model);
  const length = (text: string): number => encode(text).ids.length;
  const ofDictionaries = [dictionaries(length), latents(join(demo, 'dictionaries'), model)];
  const every: Claim[] = [
    parser,
    facts,
    indirectObjects,
    induction,
    patching,
    heads,
    attribution,
    ...ofDictionaries,
    refusal(vectors),
    mood(vectors),
    sampled,
  ];
  const only = [...positionals, ...values.only.split(',')].map((part) => part.trim()).filter((part) => part !== '');
  const claims = every.filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)));
  const started = performance.now();
  const benches = await Benches.open({
    dist: join(root, 'dist'),
    pages: Number(values.pages),
    ...(values.model === undefined ? {} : { model: values.model }),
  });
  const results: Result[] = [];
  try {
    console.log(`${benches.model.name}: ${benches.model.badge}, on ${benches.adapter}\n`);
    for (const { name, run } of claims) {
      const since = performance.now();
      let outcome;
      try {
        outcome = await run(benches, Number(values.smaller));
      } catch (error) {
        outcome = { measures: [], notes: [String(error)] };
      }
      const result = { claim: name, ...outcome, pass: judge(outcome.measures), seconds: (performance.now() - since) / 1000 };
      results.push(result);
      console.log(`${result.pass ? 'PASS' : 'FAIL'}  ${name} (${result.seconds.toFixed(0)} s)`);
      for (const note of outcome.notes) console.log(`      ${note}`);
    }
  } finally {
    await benches.close();
  }
  const seconds = (performance.now() - started) / 1000;
  const pass = results.length > 0 && results.every((result) => result.pass);
  console.log(
    `\n${table(results)}\n\n${pass ? 'PASS' : 'FAIL'}: ${results.filter((result) => result.pass).length} of ${results.length} claims, ${(seconds / 60).toFixed(1)} minutes`,
  );
  const files = hashes(model, vectors, join(demo, 'dictionaries'));
  mkdirSync(values.out, { recursive: true });
  writeFileSync(
    join(values.out, 'check.json'),
    `${JSON.stringify({ model: benches.model, adapter: benches.adapter, files, smaller: Number(values.smaller), seconds, pass, results }, undefined, 2)}\n`,
  );
  process.exitCode = pass ? 0 : 1;
}
