/** Placeholder: the files branch brings the real one. */
import { expose } from 'comlink';
import './port';

expose({ status: () => ({ opfs: false, persisted: false, usage: 0, quota: 0 }) });
