/** The shader preprocessor: choices, repetition, includes, and what a fault in a shader file is told as. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expand, type Defines, type Library } from '../../../workers/gpu/wgsl';
import { refusal } from '../refusal';

const none: Library = (file) => {
  throw new Error(`no file ${file}`);
};
const lines = (source: string, defines: Defines = {}, library: Library = none): string[] =>
  expand(source, defines, library)
    .split('\n')
    .filter((line) => line.trim() !== '');

describe('#if', () => {
  const source = '#if A\nyes\n#else\nno\n#end\nafter';
  test.each([
    [{ A: 1 }, ['yes', 'after']],
    [{ A: 0 }, ['no', 'after']],
    [{}, ['no', 'after']],
    [{ A: 'word' }, ['yes', 'after']],
  ])('%j', (defines, expected) => expect(lines(source, defines)).toEqual(expected));

  test('without #else, nothing is left', () => expect(lines('#if A\nx\n#end', { A: 0 })).toEqual([]));
  test('a value, and one of several', () => {
    const choice = '#if KIND == act || KIND == gated\nx\n#end\n#if N == 2\ntwo\n#end';
    expect(lines(choice, { KIND: 'act', N: 2 })).toEqual(['x', 'two']);
    expect(lines(choice, { KIND: 'gated', N: 3 })).toEqual(['x']);
    expect(lines(choice, { KIND: 'gatedly', N: '2u' })).toEqual([]);
  });
  test('nested: an inner #else and #end belong to the inner #if', () => {
    const nested = '#if A\n  #if B\nab\n  #else\na\n  #end\n#else\n  #if B\nb\n  #end\nnot a\n#end';
    expect(lines(nested, { A: 1, B: 1 })).toEqual(['ab']);
    expect(lines(nested, { A: 1 })).toEqual(['a']);
    expect(lines(nested, { B: 1 })).toEqual(['b', 'not a']);
    expect(lines(nested)).toEqual(['not a']);
  });
  test('what is not kept is not read: an include there need not exist', () =>
    expect(lines('#if A\n#include missing.wgsl\n#end')).toEqual([]));
});

describe('#for', () => {
  test('counts from 0', () => expect(lines('#for i 3\nlet x$i = $i;\n#end')).toEqual(['let x0 = 0;', 'let x1 = 1;', 'let x2 = 2;']));
  test('in pairs', () => expect(lines('#for a,b 4\nf(x$a, x$b);\n#end')).toEqual(['f(x0, x1);', 'f(x2, x3);']));
  test('no times', () => expect(lines('#for i 0\nx\n#end\ny')).toEqual(['y']));
  test('a count by define; one within another; an #if within', () => {
    const source = '#for r $R\n#for c 2\n#if c == 1\na$r_$c\n#end\n#end\n#end';
    expect(lines(source, { R: 2 })).toEqual(['a0_1', 'a1_1']);
  });
  test('the counter ends with the loop', () => expect(lines('#for i 1\n$i\n#end\n$i')).toEqual(['0', '$i']));
  test.each(['#for i $N\nx\n#end', '#for i\nx\n#end', '#for i 2.5\nx\n#end'])('%j has no such count', async (source) => {
    const error = await refusal(() => expand(source, source.includes('2.5') || source.includes('$N') ? {} : { N: 1 }, none));
    expect(error.code).toBe('internal');
    expect(error.message).toContain('no such count');
  });
});

describe('substitution', () => {
  test('defines are words; the longest name counts', () =>
    expect(lines('$A $AB $A_1 ${A}', { A: 1, AB: 'two' })).toEqual(['1 two 1_1 ${A}']));
  test('an unknown define stays, for the compiler to point at', () => expect(lines('let x = $UNKNOWN;')).toEqual(['let x = $UNKNOWN;']));
  test('a define’s own text is not read again', () => expect(lines('$A', { A: '$B', B: 1 })).toEqual(['$B']));
});

describe('#include', () => {
  const library: Library = (file) => {
    const files: Record<string, string> = {
      'f.wgsl': 'fn f_$BUF() { $N }',
      'outer.wgsl': '#if DEEP\n#include f.wgsl BUF=inner\n#end\nouter $BUF',
      'kind-f16.wgsl': 'half',
    };
    const text = files[file];
    if (text === undefined) throw new Error(`no file ${file}`);
    return text;
  };
  test('its own defines beside the given ones', () =>
    expect(lines('#include f.wgsl BUF=x\n#include f.wgsl BUF=y\n$BUF', { N: 3 }, library)).toEqual([
      'fn f_x() { 3 }',
      'fn f_y() { 3 }',
      '$BUF',
    ]));
  test('one in another', () =>
    expect(lines('#include outer.wgsl BUF=o', { DEEP: 1, N: 0 }, library)).toEqual(['fn f_inner() { 0 }', 'outer o']));
  test('a name by define', () => expect(lines('#include kind-$K.wgsl', { K: 'f16' }, library)).toEqual(['half']));
  test('a file that is not there', () => expect(() => expand('#include nothing.wgsl', {}, library)).toThrow('no file nothing.wgsl'));
});

test.each(['#if A\nx', '#for i 2\n#if i\nx\n#end', '#if A\n#else\nx'])('%j lacks an #end', async (source) => {
  const error = await refusal(() => expand(source, { A: 1 }, none));
  expect(error.code).toBe('internal');
  expect(error.message).toContain('no #end');
});

test('every #if and #for of the shaders is closed, and nothing else begins with #', () => {
  const root = new URL('../../../shaders/', import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.wgsl'));
  expect(files.length).toBeGreaterThan(20);
  for (const file of files) {
    const text = readFileSync(new URL(file, root), 'utf8');
    const words = [...text.matchAll(/^\s*#(\w+)/gm)].map((each) => each[1]);
    const count = (...which: string[]): number => words.filter((word) => word !== undefined && which.includes(word)).length;
    expect(count('if', 'for'), file).toBe(count('end'));
    expect(count('if', 'for', 'end', 'else', 'include'), file).toBe(words.length);
  }
});
