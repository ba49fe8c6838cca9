/**
 * The surveys that the engine has open: each a pass (experiments/survey/pass.ts) and what it was begun under. They need no GPU to live, so a lost
 * device or a change of models leaves them as they are; what they cannot do is go on under another contract.
 */
import type { DictionarySpec } from './dictionary/spec';
import type { EngineSurvey, EngineSurveyCall, TokenChunk } from './contract';
import { LabError } from './errors';
import { Pass } from './experiments/survey/pass';
import { ReadTokens } from './experiments/survey/read-tokens';
import { Tally } from './experiments/survey/tally';

export interface OpenSurvey {
  pass: Pass;
  dictionary: string;
  model: string;
  /** Someone is reading it on. */
  running: boolean;
  spec: string;
  counts: (token: number) => boolean;
}

export class Surveys {
  private readonly open = new Map<string, OpenSurvey>();

  async begin({ id, dictionary, special, running, state }: EngineSurveyCall, model: string, spec: DictionarySpec): Promise<EngineSurvey> {
    const known = this.open.get(id);
    if (known) {
      known.running ||= running;
      return this.told(id);
    }
    const pass = state ? await Pass.unpack(state) : new Pass(new Tally(spec.latents), new ReadTokens());
    // Each is as large as its dictionary is wide: of those that nobody reads on, one.
    for (const [other, each] of this.open) if (!each.running) this.open.delete(other);
    const left = new Set(special);
    this.open.set(id, { pass, dictionary, model, running, spec: JSON.stringify(spec), counts: (token) => !left.has(token) });
    return this.told(id);
  }

  holds(id: string): boolean {
    return this.open.has(id);
  }

  /** A survey that its dictionary and the model in use can go on with. */
  running(id: string, model: string, specOf: (dictionary: string) => DictionarySpec): OpenSurvey {
    const found = this.get(id);
    if (found.model !== model || JSON.stringify(specOf(found.dictionary)) !== found.spec)
      throw new LabError(
        'survey-changed',
        'The model or the dictionary was changed while the text was being read.',
        'What was read is kept. Ask again: under the same model and contract it goes on, under others it starts anew.',
      );
    return found;
  }

  get(id: string): OpenSurvey {
    const found = this.open.get(id);
    if (!found) throw new LabError('survey-missing', 'This survey is not open.', 'Ask for it again with lab.survey().');
    return found;
  }

  told(id: string): EngineSurvey {
    const { pass } = this.get(id);
    return { ...pass.summary(), cursor: pass.standing.cursor };
  }

  close(id: string, keep: boolean): void {
    const found = this.open.get(id);
    if (found) found.running = false;
    if (!keep) this.open.delete(id);
  }
}

/** A chunk's sequences apart. */
export function sequencesOf({ ids, lengths }: Pick<TokenChunk, 'ids' | 'lengths'>): number[][] {
  let at = 0;
  return Array.from(lengths, (length) => Array.from(ids.subarray(at, (at += length))));
}
