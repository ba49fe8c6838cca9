/** What is asked after lab.use() waits for it, whether it succeeds or not, and for the last one where several were asked for. */
import { expect, test } from 'vitest';
import { Coming } from '../../../src/lab/coming';

const later = <T>(value: T, milliseconds: number): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), milliseconds));

test('a call during a use is made when it has settled, and sees what it did', async () => {
  const coming = new Coming();
  let model = 'a';
  const read = coming.after((text: string) => Promise.resolve(`${model}: ${text}`));
  expect(await read('before')).toBe('a: before');
  void coming.until(later('b', 20).then((name) => (model = name)));
  const during = read('during');
  void coming.until(later('c', 40).then((name) => (model = name)));
  expect(await during).toBe('c: during');
  expect(await read('after')).toBe('c: after');
});

test('a use that fails holds nothing up', async () => {
  const coming = new Coming();
  const use = coming.until(later('', 10).then(() => Promise.reject(new Error('no room'))));
  const read = coming.after(() => Promise.resolve('read'));
  const found = read();
  await expect(use).rejects.toThrow('no room');
  expect(await found).toBe('read');
});

test('where nothing is coming a call is made at once', () => {
  let made = false;
  void new Coming().after(() => Promise.resolve((made = true)))();
  expect(made).toBe(true);
});
