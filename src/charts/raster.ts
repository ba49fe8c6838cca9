/**
 * Many small squares as one picture: a value a pixel, coloured through a table, so that a pattern of a few hundred tokens costs one `putImageData`. What is no
 * number (a masked key) stays clear.
 */
import { channels, type Colour } from './scales';

const STEPS = 255;

/** The scale's colours as bytes, from its low end (0, or −1 where it has two sides) to 1. */
export function ramp(colour: Colour, low: 0 | -1): Uint8ClampedArray {
  const table = new Uint8ClampedArray((STEPS + 1) * 3);
  for (let i = 0; i <= STEPS; i++) table.set(channels(colour(low + ((1 - low) * i) / STEPS)), i * 3);
  return table;
}

/** RGBA of `count` values: `share` brings each to the scale's range. */
export function pixels(count: number, value: (i: number) => number, table: Uint8ClampedArray, low: 0 | -1): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(count * 4);
  for (let i = 0; i < count; i++) {
    const x = value(i);
    if (!Number.isFinite(x)) continue;
    const at = Math.round(((Math.min(1, Math.max(low, x)) - low) / (1 - low)) * STEPS) * 3;
    out[4 * i] = table[at] ?? 0;
    out[4 * i + 1] = table[at + 1] ?? 0;
    out[4 * i + 2] = table[at + 2] ?? 0;
    out[4 * i + 3] = 255;
  }
  return out;
}

export interface Raster {
  rows: number;
  columns: number;
  /** Row after row. */
  value: (i: number) => number;
  table: Uint8ClampedArray;
  low: 0 | -1;
}

/** A pixel a value; how large they are seen is the style's business. */
export function draw(canvas: HTMLCanvasElement, { rows, columns, value, table, low }: Raster): void {
  canvas.width = columns;
  canvas.height = rows;
  if (!rows || !columns) return;
  canvas.getContext('2d')?.putImageData(new ImageData(pixels(rows * columns, value, table, low), columns, rows), 0, 0);
}
