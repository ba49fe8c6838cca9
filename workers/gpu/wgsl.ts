/**
 * The few lines that stand between a shader file and the compiler: repetition that WGSL has no word for (registers named
 * by number), choices that must not leave a binding behind, and shared functions. A shader stays readable WGSL.
 *
 *   #if NAME … #else … #end     kept where the define is not 0 (also: #if NAME == 2)
 *   #for i COUNT … #end         the lines repeated for i = 0 … COUNT − 1, with $i replaced (#for i,j COUNT: in pairs)
 *   #include file KEY=word …    another file of shaders/lib, with $KEY replaced
 *   $NAME                       a define, as a number or a word
 */
import { LabError } from '../errors';

export type Defines = Readonly<Record<string, number | string>>;
export type Library = (file: string) => string;

const fault = (message: string): LabError => new LabError('internal', `shader: ${message}`, 'This is a fault in Loupe. Please report it.');

/** A number as a WGSL float literal. */
export const wgslFloat = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

export function expand(source: string, defines: Defines, library: Library): string {
  return block(source.split('\n'), defines, library).join('\n');
}

function block(lines: readonly string[], defines: Defines, library: Library): string[] {
  const out: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const word = /^\s*#(if|for|include)\b\s*(.*)$/.exec(line);
    if (!word) {
      out.push(substitute(line, defines));
      continue;
    }
    const rest = substitute((word[2] ?? '').trim(), defines);
    if (word[1] === 'include') {
      const [file = '', ...pairs] = rest.split(/\s+/);
      const inner: Record<string, number | string> = { ...defines };
      for (const pair of pairs) {
        const [key = '', value = ''] = pair.split('=');
        inner[key] = value;
      }
      out.push(...block(library(file).split('\n'), inner, library));
      continue;
    }
    const { body, otherwise, end } = span(lines, at);
    at = end;
    if (word[1] === 'if') out.push(...block(holds(rest, defines) ? body : otherwise, defines, library));
    else {
      const [nameWord = '', countWord = ''] = rest.split(/\s+/);
      const names = nameWord.split(',');
      const times = Number(countWord);
      if (countWord === '' || !Number.isInteger(times)) throw fault(`#for ${rest}: no such count`);
      for (let i = 0; i < times; i += names.length) {
        const counters = Object.fromEntries(names.map((name, j) => [name, i + j]));
        out.push(...block(body, { ...defines, ...counters }, library));
      }
    }
  }
  return out;
}

/** The lines of an #if or #for that opens at `open`, down to its own #end. */
function span(lines: readonly string[], open: number): { body: string[]; otherwise: string[]; end: number } {
  const body: string[] = [];
  const otherwise: string[] = [];
  let depth = 0;
  let into = body;
  for (let at = open + 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (/^\s*#(if|for)\b/.test(line)) depth++;
    if (/^\s*#end\b/.test(line)) {
      if (depth === 0) return { body, otherwise, end: at };
      depth--;
    }
    if (depth === 0 && /^\s*#else\b/.test(line)) into = otherwise;
    else into.push(line);
  }
  throw fault(`no #end for “${lines[open] ?? ''}”`);
}

function holds(condition: string, defines: Defines): boolean {
  return condition.split('||').some((part) => {
    const [name = '', value] = part.split('==').map((word) => word.trim());
    const actual = defines[name] ?? 0;
    return value === undefined ? actual !== 0 : String(actual) === value;
  });
}

function substitute(line: string, defines: Defines): string {
  return line.replace(/\$([A-Za-z][A-Za-z0-9]*)/g, (whole, name: string) => {
    const value = defines[name];
    return value === undefined ? whole : String(value);
  });
}
