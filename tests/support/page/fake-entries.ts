/** workers/entries.ts with the fakes behind real message ports, so that everything crosses a structured clone. */
import * as Comlink from 'comlink';
import type { EngineApi, FilesApi } from '../../../workers/contract';
import { LabError } from '../../../workers/errors';
import { fakeEngine } from './fake-engine';
import { fakeFiles } from './fake-files';

const plain = (error: LabError): object => ({
  ...error,
  message: error.message,
  code: error.code,
  hint: error.hint,
  causes: error.causes.map(plain),
});
Comlink.transferHandlers.set('throw', {
  ...(Comlink.transferHandlers.get('throw') as Comlink.TransferHandler<unknown, unknown>),
  serialize: (thrown: unknown) => {
    const { value } = thrown as { value: unknown };
    return [{ isError: true, value: value instanceof LabError ? plain(value) : { message: String(value), name: 'Error' } }, []];
  },
});

function port<T>(api: T): Comlink.Remote<T> {
  const { port1, port2 } = new MessageChannel();
  Comlink.expose(api, port1);
  return Comlink.wrap<T>(port2);
}
export const spawnEngine = (_failed?: (error: LabError) => void): Comlink.Remote<EngineApi> => port(fakeEngine);
export const spawnFiles = (_failed?: (error: LabError) => void): Comlink.Remote<FilesApi> => port(fakeFiles);
