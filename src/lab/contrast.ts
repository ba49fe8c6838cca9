/**
 * A contrast pair, token by token. Patching copies an activation at a position from one text to the same position of the other, so both must have as many tokens, with the
 * same roles in the same places; where they do not, this says where they part and what would mend it.
 */
import { quoted } from './pieces';

export interface Token {
  id: number;
  piece: string;
}
/** One column of the two texts over each other; where one text has no token, there is a gap. */
export interface Pairing {
  clean?: Token & { position: number };
  corrupted?: Token & { position: number };
  differs: boolean;
}
export interface Alignment {
  columns: Pairing[];
  /** Positions at which they differ, where they have as many tokens. */
  differ: number[];
  /** Nothing can be patched, and why. */
  problem?: { message: string; hint: string };
}

const same = (a: Token | undefined, b: Token | undefined): boolean => a !== undefined && a.id === b?.id;
const said = (tokens: readonly Token[]): string => tokens.map(({ piece }) => quoted(piece)).join(' ');
const many = (n: number): string => (n === 1 ? '1 token' : `${n} tokens`);

export function align(clean: readonly Token[], corrupted: readonly Token[]): Alignment {
  const at = (tokens: readonly Token[], position: number) => {
    const token = tokens[position];
    return token && { ...token, position };
  };
  const column = (i: number | undefined, j: number | undefined): Pairing => {
    const [a, b] = [i === undefined ? undefined : at(clean, i), j === undefined ? undefined : at(corrupted, j)];
    return { ...(a ? { clean: a } : {}), ...(b ? { corrupted: b } : {}), differs: !same(a, b) };
  };
  if (clean.length === corrupted.length) {
    const columns = clean.map((_, i) => column(i, i));
    const differ = columns.flatMap(({ differs }, i) => (differs ? [i] : []));
    if (clean.length === 0 || differ.length > 0) return { columns, differ };
    return {
      columns,
      differ,
      problem: {
        message: 'The two texts are the same.',
        hint: 'Change one thing in the contrast, so that the model answers something else.',
      },
    };
  }
  let prefix = 0;
  while (same(clean[prefix], corrupted[prefix])) prefix++;
  let suffix = 0;
  const room = Math.min(clean.length, corrupted.length) - prefix;
  while (suffix < room && same(clean.at(-1 - suffix), corrupted.at(-1 - suffix))) suffix++;
  const [wide, high] = [clean.length - suffix, corrupted.length - suffix];
  const middle = Math.max(wide, high) - prefix;
  const columns = [
    ...Array.from({ length: prefix }, (_, i) => column(i, i)),
    ...Array.from({ length: middle }, (_, i) =>
      column(prefix + i < wide ? prefix + i : undefined, prefix + i < high ? prefix + i : undefined),
    ),
    ...Array.from({ length: suffix }, (_, i) => column(wide + i, high + i)),
  ];
  const [left, right] = [clean.slice(prefix, wide), corrupted.slice(prefix, high)];
  const against =
    left.length && right.length ? `${said(left)} stands against ${said(right)}` : `${said([...left, ...right])} stands against nothing`;
  return {
    columns,
    differ: [],
    problem: {
      message: `The prompt has ${many(clean.length)}, the contrast ${many(corrupted.length)}. They part at position ${prefix}: ${against}.`,
      hint: `Put something of ${many(left.length)} there instead, so that every later word keeps its position.`,
    },
  };
}
