/**
 * What the runners' own JSON reports say was executed. A run that ended badly never counts as without failure, whatever its report says, and a
 * test file that could not even be loaded is a failure, though no test of it is in the report.
 */

/** @typedef {{ passed: number; failed: number; skipped: number }} Counts */

/** @param {unknown} value @returns {Record<string, unknown>} */
const record = (value) => (typeof value === 'object' && value !== null ? /** @type {Record<string, unknown>} */ (value) : {});
/** @param {unknown} value */
const number = (value) => (typeof value === 'number' ? value : 0);
/** @param {unknown} value @returns {unknown[]} */
const list = (value) => (Array.isArray(value) ? value : []);

/** @param {Counts} counts @param {boolean} well @returns {Counts} */
const honest = (counts, well) => (well || counts.failed > 0 ? counts : { ...counts, failed: 1 });

/**
 * @param {unknown} report of Vitest's `json` reporter
 * @param {boolean} well whether the run ended with status 0
 * @returns {Counts}
 */
export function countVitest(report, well) {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = record(report);
  const unloadable = list(testResults)
    .map(record)
    .filter(
      (file) => file['status'] === 'failed' && !list(file['assertionResults']).some((test) => record(test)['status'] === 'failed'),
    ).length;
  return honest(
    {
      passed: number(numPassedTests),
      failed: number(numFailedTests) + unloadable,
      skipped: number(numPendingTests) + number(numTodoTests),
    },
    well,
  );
}

/**
 * @param {unknown} report of Playwright's `json` reporter; what passed only at a second try (`flaky`) counts as failed
 * @param {boolean} well
 * @returns {Counts}
 */
export function countPlaywright(report, well) {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const stats = record(record(report)['stats']);
  const failed = number(stats['unexpected']) + number(stats['flaky']) + list(record(report)['errors']).length;
  return honest({ passed: number(stats['expected']), failed, skipped: number(stats['skipped']) }, well);
}

/** @param {Counts[]} all @returns {Counts} */
export const total = (all) =>
  all.reduce((sum, one) => ({ passed: sum.passed + one.passed, failed: sum.failed + one.failed, skipped: sum.skipped + one.skipped }), {
    passed: 0,
    failed: 0,
    skipped: 0,
  });
