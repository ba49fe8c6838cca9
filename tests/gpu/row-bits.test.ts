/**
 * A row gives the same bits whoever is computed beside it: the order of additions must not depend on the register kernel's block of rows
 * (8 for short stretches, 16 for longer). Otherwise a text read alone and in a batch would drift apart.
 */
import { beforeAll, expect, test } from 'vitest';
import { promptOf, SMALL, weightsOf } from '../../bench/model';
import { logitsOf, openEngine } from '../../bench/ours';
import type { Engine } from '../../workers/engine';
import { VARIANTS } from '../support/engine';

let engine: Engine;
let all: Uint32Array;
const ids = promptOf(SMALL, 37);
const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Uint32Array => new Uint32Array(buffer, byteOffset, length);

beforeAll(async () => {
  engine = await openEngine(SMALL, weightsOf(SMALL), { gpu: navigator.gpu as GPU | undefined, variants: VARIANTS[0] });
  all = bitsOf(await logitsOf(engine, ids, 'all'));
});

test.each([5, 8, 9, 16, 17])('%i rows of 37', async (rows) => {
  const some = bitsOf(await logitsOf(engine, ids.slice(0, rows), 'all'));
  expect(some).toEqual(all.subarray(0, rows * SMALL.vocab));
});
