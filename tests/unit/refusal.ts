/** The LabError that a call ends in. A call that succeeds, or throws anything else, fails the test. */
import { LabError } from '../../workers/errors';

export async function refusal(call: () => unknown): Promise<LabError> {
  let result: unknown;
  try {
    result = await call();
  } catch (thrown) {
    if (thrown instanceof LabError) return thrown;
    throw thrown;
  }
  throw new Error(`expected a refusal, got ${JSON.stringify(result)?.slice(0, 200)}`);
}
