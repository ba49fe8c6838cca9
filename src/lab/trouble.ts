/** What is shown of an error beside the work that failed. A cancel that the person asked for is none. */
import { labError } from './jobs';

export interface Trouble {
  message: string;
  hint: string;
  code: string;
}

export function troubleOf(thrown: unknown): Trouble | undefined {
  const { message, hint, code } = labError(thrown);
  return code === 'cancelled' ? undefined : { message, hint, code };
}
