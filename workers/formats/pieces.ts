/**
 * What each token id stands for, faithfully: a tokeniser's own decode() loses bytes that are no character by themselves
 * and trims spaces; a person who reads token by token must see both. Bytes that are no character alone are written <0xE2>.
 */
import type { JsonObject } from './json';
import { isObject } from './json';

/**
 * GPT-2's alphabet: every byte as a printable character. Bytes that print stand for themselves, the others are moved to
 * U+0100 and up, in order (Radford et al. 2019, bytes_to_unicode).
 */
const BYTE_OF: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let moved = 256;
  for (let byte = 0; byte < 256; byte++) {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    map.set(String.fromCharCode(prints ? byte : moved++), byte);
  }
  return map;
})();

export const byteName = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** Length of the UTF-8 character that starts at `at`, or 0 where none does (RFC 3629: no overlong forms, no surrogates). */
function characterAt(bytes: readonly number[], at: number): number {
  const [a = 0, b = 0] = [bytes[at], bytes[at + 1]];
  if (a < 0x80) return 1;
  const length = a >= 0xc2 && a <= 0xdf ? 2 : a >= 0xe0 && a <= 0xef ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let i = 1; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  if ((a === 0xe0 && b < 0xa0) || (a === 0xed && b > 0x9f) || (a === 0xf0 && b < 0x90) || (a === 0xf4 && b > 0x8f)) return 0;
  return length;
}

/** Characters where the bytes form them, <0x..> where they do not. */
export function bytesToText(bytes: readonly number[]): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const length = characterAt(bytes, at);
    text += length === 0 ? byteName(bytes[at] ?? 0) : decoder.decode(Uint8Array.from(bytes.slice(at, at + length)));
    at += Math.max(1, length);
  }
  return text;
}

/** A token of a byte-level vocabulary. One with a character outside the alphabet was never bytes: it is shown as it is. */
export function byteLevelPiece(token: string): string {
  const bytes: number[] = [];
  for (const c of token) {
    const byte = BYTE_OF.get(c);
    if (byte === undefined) return token;
    bytes.push(byte);
  }
  return bytesToText(bytes);
}

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** A token of a SentencePiece-style vocabulary: ▁ is a space, <0x0A> a byte (an ASCII one is its character). */
export function sentencePiece(token: string): string {
  const byte = BYTE_TOKEN.exec(token);
  return byte ? bytesToText([parseInt(byte[1] ?? '', 16)]) : token.replaceAll('▁', ' ');
}

/** Does any part of tokenizer.json say so? Decoders and pre-tokenisers nest in sequences. */
function mentions(part: unknown, is: (node: JsonObject) => boolean): boolean {
  if (Array.isArray(part)) return part.some((each) => mentions(each, is));
  return isObject(part) && (is(part) || Object.values(part).some((each) => mentions(each, is)));
}

/** How this tokeniser's vocabulary writes text. */
export function pieceReader(tokenizer: JsonObject): (token: string) => string {
  const places = [tokenizer['decoder'], tokenizer['pre_tokenizer'], tokenizer['normalizer']];
  if (mentions(places, (node) => node['type'] === 'ByteLevel')) return byteLevelPiece;
  const spaces = mentions(places, (node) => node['type'] === 'Metaspace' || node['content'] === '▁');
  const fallback = mentions([tokenizer['decoder']], (node) => node['type'] === 'ByteFallback');
  return spaces || fallback ? sentencePiece : (token) => token;
}
