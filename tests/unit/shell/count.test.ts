import { describe, expect, it } from 'vitest';
import { countPlaywright, countVitest, total } from '../../../tools/count.mjs';

describe('counting what was executed', () => {
  const report = { numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1, testResults: [] };

  it('takes the numbers from the report', () => {
    expect(countVitest(report, false)).toEqual({ passed: 5, failed: 1, skipped: 3 });
    expect(countPlaywright({ stats: { expected: 4, unexpected: 1, flaky: 2, skipped: 3 }, errors: [] }, false)).toEqual({
      passed: 4,
      failed: 3,
      skipped: 3,
    });
  });

  it('counts a file that could not be loaded as a failure, once', () => {
    const testResults = [
      { status: 'failed', assertionResults: [] },
      { status: 'failed', assertionResults: [{ status: 'failed' }] },
      { status: 'passed', assertionResults: [{ status: 'passed' }] },
    ];
    expect(countVitest({ ...report, testResults }, false)).toMatchObject({ failed: 2 });
    expect(countPlaywright({ stats: {}, errors: [{ message: 'cannot load' }] }, false)).toMatchObject({ failed: 1 });
  });

  it('does not believe a report of a run that ended badly, nor a missing one', () => {
    expect(countVitest({ numPassedTests: 5 }, false)).toEqual({ passed: 5, failed: 1, skipped: 0 });
    expect(countPlaywright({ stats: { expected: 2 } }, false)).toEqual({ passed: 2, failed: 1, skipped: 0 });
    expect(countVitest(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countPlaywright(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  it('adds up', () => {
    expect(total([{ passed: 1, failed: 0, skipped: 2 }, countVitest(report, false)])).toEqual({ passed: 6, failed: 1, skipped: 5 });
    expect(total([])).toEqual({ passed: 0, failed: 0, skipped: 0 });
  });
});
