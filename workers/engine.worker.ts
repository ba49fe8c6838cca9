/** The engine worker: WebGPU and the kept tensors put under the Engine, and the Engine put on a port. */
import './port';
import { expose } from 'comlink';
import { Engine } from './engine';
import { shaders } from './gpu/shaders';
import { openTensors } from './library/tensors';
import { keptTuning } from './library/tuning';

expose(new Engine({ gpu: () => navigator.gpu as GPU | undefined, shaders, openTensors, tuning: keptTuning }));
