/**
 * A map of numbers as a figure for a paper: SVG made of rectangles and text with attributes alone, so that any program reads it and no policy is in its way; black on
 * white, with a scale and what the numbers are. PNG is the same drawing at twice the size.
 */
import type { Colour } from '../../charts/scales';
import { inkOn } from '../../charts/scales';

export interface Figure {
  title: string;
  /** Under the title: model, metric, what was patched. */
  about: string;
  /** Top row first. */
  rows: readonly string[];
  columns: readonly string[];
  rowsAre: string;
  columnsAre: string;
  /** From −1 to 1 of the scale; NaN leaves a cell out. */
  share: (row: number, column: number) => number;
  text: (row: number, column: number) => string;
  colour: Colour;
  from: string;
  to: string;
}

const safe = (text: string): string =>
  text
    .replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c)
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, '�');

const CELL = { width: 46, height: 24 };
const HEAD = 58;
const TOP = 54;
const FOOT = 112;

export function figureSvg({ title, about, rows, columns, rowsAre, columnsAre, share, text, colour, from, to }: Figure): string {
  const longest = Math.max(0, ...rows.map((row) => row.length));
  const left = Math.max(HEAD, longest * 7 + 24);
  const width = Math.max(360, left + columns.length * CELL.width + 16);
  const height = TOP + rows.length * CELL.height + FOOT;
  const cells = rows.flatMap((_, row) =>
    columns.flatMap((__, column) => {
      const x = share(row, column);
      if (!Number.isFinite(x)) return [];
      const ground = colour(x);
      const [px, py] = [left + column * CELL.width, TOP + row * CELL.height];
      return [
        `<rect x="${px}" y="${py}" width="${CELL.width - 1}" height="${CELL.height - 1}" fill="${ground}"/>`,
        `<text x="${px + (CELL.width - 1) / 2}" y="${py + 16}" text-anchor="middle" font-size="10.5" fill="${inkOn(ground)}">${safe(text(row, column))}</text>`,
      ];
    }),
  );
  const under = TOP + rows.length * CELL.height;
  const names = [
    ...rows.map(
      (row, i) =>
        `<text x="${left - 8}" y="${TOP + i * CELL.height + 16}" text-anchor="end" font-size="11" fill="#444">${safe(row)}</text>`,
    ),
    ...columns.map((column, i) => {
      const [x, y] = [left + i * CELL.width + 20, under + 12];
      return `<text x="${x}" y="${y}" text-anchor="end" font-size="11" fill="#444" transform="rotate(-45 ${x} ${y})" xml:space="preserve">${safe(column.length > 12 ? `${column.slice(0, 11)}…` : column)}</text>`;
    }),
  ];
  const bar = Array.from(
    { length: 40 },
    (_, i) => `<rect x="${left + 34 + i * 3}" y="${under + 84}" width="3.2" height="9" fill="${colour((2 * i) / 39 - 1)}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Inter, Helvetica, Arial, sans-serif">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="16" y="22" font-size="14" font-weight="600" fill="#111">${safe(title)}</text>`,
    `<text x="16" y="40" font-size="11" fill="#555">${safe(about)}</text>`,
    ...cells,
    ...names,
    `<text x="16" y="${under + 92}" font-size="11" fill="#555">${safe(rowsAre)} × ${safe(columnsAre)}</text>`,
    `<text x="${left + 28}" y="${under + 92}" text-anchor="end" font-size="11" fill="#444">${safe(from)}</text>`,
    ...bar,
    `<text x="${left + 160}" y="${under + 92}" font-size="11" fill="#444">${safe(to)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}
