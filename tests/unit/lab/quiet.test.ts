import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Lab } from '../../../workers/api';
import { noted, Quiet } from '../../../src/lab/quiet';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('the page’s own reading waits until scripts have been still for a while', async () => {
  const quiet = new Quiet();
  let finish: () => void = () => undefined;
  const running = new Promise<void>((resolve) => (finish = resolve));
  const lab = noted({ version: '1', device: () => running } as unknown as Lab, quiet);
  let read = false;
  const reading = () => void quiet.wait().then(() => (read = true));

  reading();
  await vi.advanceTimersByTimeAsync(0);
  expect(read).toBe(true);

  expect(lab.version).toBe('1');
  void lab.device();
  read = false;
  reading();
  await vi.advanceTimersByTimeAsync(5000);
  expect(read).toBe(false);
  finish();
  await vi.advanceTimersByTimeAsync(700);
  expect(read).toBe(false);
  await vi.advanceTimersByTimeAsync(2000);
  expect(read).toBe(true);
});
