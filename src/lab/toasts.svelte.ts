/** Sentences that come and go: what happened, and what to do. Errors stay until they are dismissed. */
import { labError } from './jobs';

export interface Toast {
  id: number;
  kind: 'note' | 'good' | 'error';
  text: string;
  hint: string;
  code: string;
}

export class Toasts {
  items = $state.raw<Toast[]>([]);
  #last = 0;

  show(kind: Toast['kind'], text: string, hint = '', code = ''): void {
    if (this.items.some((toast) => toast.text === text && toast.kind === kind)) return;
    const id = ++this.#last;
    this.items = [...this.items.slice(-3), { id, kind, text, hint, code }];
    if (kind !== 'error') setTimeout(() => this.dismiss(id), 7000);
  }

  /** A cancel that the person asked for is not an error. */
  error(thrown: unknown): void {
    const { code, message, hint } = labError(thrown);
    if (code !== 'cancelled') this.show('error', message, hint, code);
  }

  dismiss(id: number): void {
    this.items = this.items.filter((toast) => toast.id !== id);
  }
}
