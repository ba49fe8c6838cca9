/** Numbers as the page writes them: short, steady in width, honest about small ones. */

export function bytes(n: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = n;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, '')} ${units[unit]}`;
}

export function count(n: number): string {
  for (const [size, letter] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ] as const) {
    if (n >= size * 0.9995) {
      const value = n / size;
      return `${value >= 99.5 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, '')}${letter}`;
    }
  }
  return String(n);
}

export function probability(p: number): string {
  if (!Number.isFinite(p)) return '—';
  if (p > 0 && p < 0.001) return p.toExponential(0);
  return p.toFixed(p < 0.01 ? 3 : 2);
}

export function percent(x: number): string {
  if (!Number.isFinite(x)) return '—';
  const value = x * 100;
  return `${value > 0 && value < 1 ? value.toFixed(1) : Math.round(value)}%`.replace('-', '−');
}

/** About three significant digits, with a real minus sign. */
export function number(x: number): string {
  if (!Number.isFinite(x)) return '—';
  if (x === 0) return '0';
  const size = Math.abs(x);
  const text = size >= 1e5 || size < 1e-3 ? x.toExponential(1) : size >= 100 ? x.toFixed(0) : size >= 10 ? x.toFixed(1) : x.toFixed(2);
  return text.replace('-', '−');
}

export function secondsLeft(seconds: number): string {
  if (seconds < 1.5) return 'about a second left';
  if (seconds < 90) return `${Math.round(seconds)} s left`;
  return `${Math.round(seconds / 60)} min left`;
}
