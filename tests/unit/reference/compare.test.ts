/** The comparison that judges every kernel must itself be able to fail. */
import { expect, test } from 'vitest';
import { compareRows } from '../../golden/compare';

const worst = (actual: number[], expected: number[], width = 2) => compareRows(actual, expected, width, 1e-3).worst;

test('measures each row by its own largest value', () => {
  expect(compareRows([1000, 0, 1, 0.5], [1000, 0, 1, 0.25], 2, 0.2)).toMatchObject({ worst: 0.25, row: 1, column: 1, within: false });
  expect(worst([2000, 1], [2000, 0])).toBe(1 / 2000);
});
test('a row of zeros is measured absolutely', () => {
  expect(worst([0, 3], [0, 0])).toBe(3);
  expect(compareRows([0, 0], [0, 0], 2, 0).within).toBe(true);
});
test('masked entries must be exactly −Infinity', () => {
  expect(worst([1, -Infinity], [1, -Infinity])).toBe(0);
  expect(worst([1, -1e30], [1, -Infinity])).toBe(Infinity);
  expect(worst([1, Infinity], [1, -Infinity])).toBe(Infinity);
  expect(worst([1, -Infinity], [1, 2])).toBe(Infinity);
});
test('NaN and a wrong length are never within', () => {
  expect(worst([1, NaN], [1, 2])).toBe(Infinity);
  expect(compareRows([1], [1, 2], 2, Infinity).within).toBe(false);
  expect(compareRows([], [], 2, 1).within).toBe(false);
});
