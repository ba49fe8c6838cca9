/** The part of `window.lab` that reads texts, on a bench without workers: the client's own code, its ports left out. */
import type { Remote } from 'comlink';
import type { Lab } from '../../workers/api';
import type { EngineApi, FilesApi } from '../../workers/contract';
import type { DictionarySpec } from '../../workers/dictionary/spec';
import { Coming } from '../../src/lab/coming';
import { Text } from '../../src/lab/text';
import { useTexts } from '../../src/lab/use-texts';
import type { Bench } from './engine';

export type TextLab = Pick<Lab, 'texts' | 'survey' | 'surveys' | 'dashboard'>;

export function textLab({ engine: bare, files: shelf, record }: Bench): TextLab {
  const engine = bare as unknown as Remote<EngineApi>;
  const files = shelf as unknown as Remote<FilesApi>;
  const model = () => record.info;
  const attach = async (id: string): Promise<DictionarySpec> => {
    const found = await shelf.dictionary(id);
    await bare.attach(found, 'attach');
    return found.spec;
  };
  return useTexts({ engine, files, text: new Text(files, model), coming: new Coming(), model, attach, changed: () => undefined });
}
