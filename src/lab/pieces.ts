/** How a token is shown: its spaces kept, its line breaks and bytes made visible, its name sayable by a screen reader. */

export type PieceForm = 'text' | 'space' | 'byte' | 'special' | 'empty';

export interface ShownPiece {
  text: string;
  form: PieceForm;
  /** A line break follows in running text. */
  breaks: boolean;
}

const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;

export function shown(piece: string, special: boolean): ShownPiece {
  if (piece === '') return { text: '∅', form: 'empty', breaks: false };
  if (special) return { text: piece, form: 'special', breaks: false };
  if (BYTE.test(piece)) {
    const breaks = piece.toLowerCase() === '<0x0a>';
    return { text: breaks ? '⏎' : piece.slice(3, 5).toUpperCase(), form: breaks ? 'space' : 'byte', breaks };
  }
  const breaks = piece.includes('\n');
  const text = piece.replace(/\r/g, '␍').replace(/\n/g, '⏎').replace(/\t/g, '⇥');
  if (/^\s+$/.test(piece)) return { text: text.replace(/ /g, '·'), form: 'space', breaks };
  return { text, form: 'text', breaks };
}

/** For accessible names: “ the” is said as such, white space by name. */
export function spoken(piece: string): string {
  if (piece === '') return 'empty token';
  if (BYTE.test(piece)) return `byte ${piece.slice(3, 5)}`;
  if (/^\s+$/.test(piece)) return piece.includes('\n') ? 'line break' : piece.includes('\t') ? 'tab' : 'space';
  return piece;
}

/** “ the”, quoted so that its space is seen. */
export const quoted = (piece: string): string => `“${shown(piece, false).text}”`;
