/** The bench's page: offers the measurement to the program that opened it (bench/run.mjs). */
import { beside } from '../beside';
import { measureAll, type Options } from '../measure';
import { markdown, type Report } from '../report';
import { measureSweep, type SweepOptions, type SweepReport } from '../measure-sweep';

declare global {
  interface Window {
    bench?: (options: Options) => Promise<{ report: Report; markdown: string }>;
    /** Processor seconds of the browser's GPU process so far, where the opener can tell. */
    processor?: () => Promise<number>;
    sweepBench?: (options: SweepOptions) => Promise<SweepReport>;
  }
}

const browser = /Chrome\/[\d.]+|Firefox\/[\d.]+|Version\/[\d.]+/.exec(navigator.userAgent)?.[0] ?? 'a browser';

window.bench = async (options) => {
  const report = await measureAll(
    navigator.gpu as GPU | undefined,
    `In ${browser.replace('/', ' ')}, one page`,
    options,
    (line) => console.info(line),
    beside,
  );
  return { report, markdown: markdown(report) };
};

window.sweepBench = (options) => measureSweep(navigator.gpu as GPU | undefined, options, (line) => console.info(line), window.processor);
