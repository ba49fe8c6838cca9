/** The measurements as Markdown, with what they can and cannot say. */
import type { Cost } from './cost';
import type { KernelTime } from './kernels';
import type { Shape } from './model';
import type { Measure } from './side-by-side';

export interface DeviceReport {
  adapter: string;
  software: boolean;
  features: string[];
  variants: Record<string, string>;
  copyBytesPerSecond: number;
}
export interface PeerReport {
  name: string;
  /** Largest error of a row of logits; absent where it did not run. */
  error?: number;
  openMs?: number;
  measures: Measure[];
  failed?: string;
}
export interface Report {
  where: string;
  shape: Shape;
  weightBytes: number;
  openMs: number;
  device: DeviceReport;
  cost: Cost;
  /** Of our own decoding, where there is no peer beside it. */
  alone: { what: string; milliseconds: number }[];
  peers: PeerReport[];
  kernels: KernelTime[];
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1)} MB`;
const gb = (perSecond: number): string => `${(perSecond / 1e9).toFixed(perSecond < 1e10 ? 1 : 0)} GB/s`;
const ms = (value: number): string => `${value.toFixed(value < 1 ? 3 : value < 10 ? 2 : 1)} ms`;
const share = (a: number, b: number): string => `${((100 * a) / b).toFixed(0)} %`;

export function markdown(report: Report): string {
  const { shape, device } = report;
  const parts = [
    `**${shape.name}-shaped** random model: ${shape.layers} layers, ${shape.width} wide, ${shape.heads} heads, ${shape.vocab} words, ${mb(report.weightBytes)} of f32. ${report.where}.`,
    `Device: ${device.adapter}${device.software ? ' (**software: a CPU**)' : ''}; copy bandwidth ${gb(device.copyBytesPerSecond)}; variants: ${Object.entries(
      device.variants,
    )
      .map(([kind, name]) => `${kind} ${name}`)
      .join(', ')}. Import and upload ${(report.openMs / 1e3).toFixed(1)} s.`,
    ...report.peers.map(peerPart),
    ...(report.alone.length ? [alonePart(report)] : []),
    costPart(report),
    ...(report.kernels.length ? [kernelPart(report)] : []),
    caveat(device.software),
  ];
  return parts.join('\n\n');
}

function peerPart(peer: PeerReport): string {
  if (peer.failed !== undefined) return `${peer.name}: did not run (${peer.failed}).`;
  const head = ['beside ' + peer.name, 'ours', 'theirs', 'ours / theirs', 'fastest samples', 'samples each'];
  const rows = peer.measures.map((each) => [
    each.what,
    ms(each.ours),
    ms(each.theirs),
    `**${each.ratio.toFixed(2)}**`,
    each.fastest.toFixed(2),
    String(each.samples),
  ]);
  return `${table(head, rows)}\n\nLogits agree to ${(peer.error ?? NaN).toExponential(1)} of a row's scale. Below 1 we are faster.`;
}

function alonePart({ alone, cost, device }: Report): string {
  const rows = alone.map((each) => [
    each.what,
    ms(each.milliseconds),
    each.what.startsWith('decode') ? share((cost.bytes / each.milliseconds) * 1e3, device.copyBytesPerSecond) : '',
  ]);
  return table(['ours alone', 'median', 'of copy bandwidth'], rows);
}

function costPart({ cost }: Report): string {
  const { counted } = cost;
  return table(
    ['one decoded token', 'planned', 'counted by the device'],
    [
      ['dispatches', String(cost.dispatches), counted.dispatches.toFixed(1)],
      ['copies', String(cost.copies), counted.copies.toFixed(1)],
      ['submissions', '1', counted.submits.toFixed(1)],
      ['bytes moved on the GPU, at least', mb(cost.bytes), ''],
      ['bytes read back', '', counted.bytesRead.toFixed(0)],
      ['bytes written', '', counted.bytesWritten.toFixed(0)],
      ['pipelines built while decoding', '0', String(counted.pipelines)],
      ['pipelines built in all', '', String(cost.pipelines)],
      ['GPU bytes at the peak', '', mb(cost.bytesHigh)],
    ],
  );
}

function kernelPart({ kernels, device }: Report): string {
  const rows = kernels.map((each) => [
    each.what,
    each.variant,
    ms(each.milliseconds),
    each.ratio.toFixed(2),
    `${(each.flopsPerSecond / 1e9).toFixed(1)}`,
    each.kind === 'matmul' ? '' : share(each.bytesPerSecond, device.copyBytesPerSecond),
    each.error.toExponential(0),
  ]);
  return table(['kernel', 'variant', 'median', 'to the fastest', 'GFLOP/s', 'of copy bandwidth', 'differs by'], rows);
}

const caveat = (software: boolean): string =>
  software
    ? 'This device is a CPU that plays a GPU. What carries over to a real GPU: agreement, dispatches, submissions, copies, bytes, pipelines, memory. What does not: every time, every ratio of times, and which kernel variant wins (barriers and shared memory are dear here). onnxruntime’s wasm is native SIMD code on the same CPU, while our shaders go through an emulator.'
    : 'Times are of this device, driver and day; a ratio within one run is worth more than a time.';
