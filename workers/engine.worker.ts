/** Placeholder: the engine's branch brings the real one. */
import { expose } from 'comlink';
import { LabError } from './errors';
import './port';

expose({
  device: () => {
    throw new LabError('webgpu-missing', 'There is no engine here yet.', 'Wait for it.', [new LabError('cause', 'A cause.', 'Its hint.')]);
  },
});
