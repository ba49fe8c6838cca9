/** Numbers as a table for a spreadsheet or pandas: one line a cell, a column an axis, then the numbers. RFC 4180; a number that is none is left empty. */

export interface Column {
  name: string;
  values: readonly (string | number)[];
}

const field = (value: string | number): string => {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
};

export function toCsv(columns: readonly Column[]): string {
  const rows = Math.max(0, ...columns.map(({ values }) => values.length));
  const lines = [columns.map(({ name }) => field(name)).join(',')];
  for (let row = 0; row < rows; row++) lines.push(columns.map(({ values }) => field(values[row] ?? '')).join(','));
  return `${lines.join('\r\n')}\r\n`;
}
