/** A share of positions in words that stay short from 100% down to one in ten million. */
export function often(share: number): string {
  if (!(share > 0)) return '0%';
  const value = share * 100;
  if (value >= 9.95) return `${Math.round(value)}%`;
  if (value >= 0.000_95) return `${Number(value.toPrecision(2))}%`;
  return `1 in ${Math.round(1 / share).toLocaleString('en')}`;
}
