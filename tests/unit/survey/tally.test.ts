/** The tally against counting by brute force: whatever the order, whatever the batches, kept and taken up again anywhere. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pass } from '../../../workers/experiments/survey/pass';
import { BINS, SAMPLE, scatter, Tally, TOP, type Seen } from '../../../workers/experiments/survey/tally';

const LATENTS = 7;
interface Row {
  place: number;
  active: readonly (readonly [latent: number, value: number])[];
}

function counted(rows: readonly Row[], into = new Tally(LATENTS), unit = 1): Tally {
  into.scale(unit);
  for (const { place, active } of rows) {
    into.begin();
    for (const [latent, value] of active) into.see(place, latent, value);
  }
  return into;
}

/** Values of float32, many of them equal, some beyond the histogram's ends. */
const value = fc.oneof(
  fc.constantFrom(0.5, 1, 2, Math.fround(1e-9), 1e9),
  fc.float({ min: Math.fround(1e-5), max: 5000, noNaN: true, noDefaultInfinity: true }),
);
const rows = fc
  .array(
    fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: LATENTS - 1 }), value), { selector: ([latent]) => latent, maxLength: LATENTS }),
    {
      maxLength: 160,
    },
  )
  .map((all) => all.map((active, i): Row => ({ place: 3 * i + 1, active })));

const ofLatent = (all: readonly Row[], latent: number): Seen[] =>
  all.flatMap(({ place, active }) => active.filter(([other]) => other === latent).map(([, each]) => ({ place, value: each })));

describe('the tally', () => {
  it('is what sorting everything gives', () => {
    fc.assert(
      fc.property(rows, fc.constantFrom(0.25, 1, 64), (all, unit) => {
        const tally = counted(all, new Tally(LATENTS), unit);
        expect(tally.positions).toBe(all.length);
        expect(tally.active).toBe(all.reduce((sum, { active }) => sum + active.length, 0));
        for (let latent = 0; latent < LATENTS; latent++) {
          const seen = ofLatent(all, latent);
          const found = tally.of(latent);
          expect(found.count).toBe(seen.length);
          expect(found.sum).toBeCloseTo(
            seen.reduce((sum, each) => sum + each.value, 0),
            3,
          );
          expect(found.max).toBe(Math.max(0, ...seen.map((each) => each.value)));
          expect(found.top).toEqual([...seen].sort((a, b) => b.value - a.value || a.place - b.place).slice(0, TOP));
          expect(found.bars).toHaveLength(BINS);
          found.bars.forEach((bar, i) => {
            const low = i === 0 ? -Infinity : bar.from;
            const high = i === BINS - 1 ? Infinity : bar.to;
            // An edge is a rounded power of the square root of two: values about there may lie on either side.
            const inside = seen.filter((each) => each.value >= low && each.value < high);
            expect(bar.count).toBe(inside.length);
            const drawn = inside.sort((a, b) => scatter(a.place) - scatter(b.place)).slice(0, SAMPLE);
            expect(bar.sample).toEqual(drawn);
          });
          expect(tally.density()[latent]).toBeCloseTo(all.length ? seen.length / all.length : 0, 6);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('is the same in any order', () => {
    fc.assert(
      fc.property(rows, fc.integer(), (all, seed) => {
        const shuffled = [...all].sort((a, b) => scatter(a.place ^ seed) - scatter(b.place ^ seed));
        const [one, other] = [counted(all), counted(shuffled)];
        for (let latent = 0; latent < LATENTS; latent++) {
          const { sum, ...found } = one.of(latent);
          const { sum: otherSum, ...otherFound } = other.of(latent);
          expect(otherFound).toEqual(found);
          expect(otherSum).toBeCloseTo(sum, 3);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('draws from a bar as from a hat', () => {
    // Of 400 positions in one bar 3 are drawn; over 500 runs of places each tenth of the row is drawn about as often.
    const tenths = new Array<number>(10).fill(0);
    for (let run = 0; run < 500; run++) {
      const tally = counted(Array.from({ length: 400 }, (_, i) => ({ place: 1000 * run + i, active: [[0, 1]] as const })));
      for (const { place } of tally.of(0).bars.flatMap(({ sample }) => sample)) {
        const tenth = Math.floor((place - 1000 * run) / 40);
        tenths[tenth] = (tenths[tenth] ?? 0) + 1;
      }
    }
    expect(tenths.reduce((a, b) => a + b)).toBe(1500);
    // χ² of nine degrees of freedom: above 27.9 once in a thousand.
    expect(tenths.reduce((sum, each) => sum + (each - 150) ** 2 / 150, 0)).toBeLessThan(27.9);
  });
});

describe('a pass', () => {
  const passOf = (all: readonly Row[], pass = new Pass(new Tally(LATENTS))): Pass => {
    for (const row of all) {
      pass.tokens.push([row.place, 5, 6]);
      counted([row], pass.tally);
    }
    return pass;
  };
  const content = async (pass: Pass): Promise<unknown> => new Uint8Array(await pass.pack().arrayBuffer());

  it('kept and taken up again is what it was, and goes on as if it had not stopped', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.array(fc.integer({ min: 0, max: 159 }), { maxLength: 4 }), async (all, stops) => {
        const whole = passOf(all);
        let pass = new Pass(new Tally(LATENTS));
        const cuts = [0, ...stops.sort((a, b) => a - b), all.length];
        for (const [i, from] of cuts.entries()) {
          pass.standing = { cursor: `at ${from}`, taken: i };
          pass = await Pass.unpack(pass.pack());
          expect(pass.standing).toEqual({ cursor: `at ${from}`, taken: i });
          passOf(all.slice(from, cuts[i + 1] ?? all.length), pass);
        }
        pass.standing = whole.standing;
        expect(await content(pass)).toEqual(await content(whole));
        expect(pass.summary()).toEqual(whole.summary());
      }),
      { numRuns: 30 },
    );
  });

  it('finds the sequence of a place', () => {
    const { tokens } = passOf([]);
    tokens.push([10, 11]);
    tokens.push([12]);
    tokens.push([13, 14, 15]);
    expect([0, 1, 2, 3, 5].map((place) => tokens.at(place))).toEqual([
      { sequence: 0, start: 0, ids: [10, 11] },
      { sequence: 0, start: 0, ids: [10, 11] },
      { sequence: 1, start: 2, ids: [12] },
      { sequence: 2, start: 3, ids: [13, 14, 15] },
      { sequence: 2, start: 3, ids: [13, 14, 15] },
    ]);
  });

  it('refuses bytes that are damaged', async () => {
    const bytes = await passOf([{ place: 0, active: [[1, 2]] }])
      .pack()
      .arrayBuffer();
    const code = (blob: Blob): Promise<unknown> => Pass.unpack(blob).then(String, (thrown: { code?: string }) => thrown.code);
    expect(await code(new Blob([bytes.slice(0, -4)]))).toBe('survey-damaged');
    expect(await code(new Blob([bytes, new Uint8Array(4)]))).toBe('survey-damaged');
    expect(await code(new Blob([new Uint8Array(200).fill(7)]))).toBe('survey-damaged');
    expect(await code(new Blob([]))).toBe('survey-damaged');
  });

  it('a million positions of 32 active latents in seconds, of 65,536', () => {
    const tally = new Tally(65_536);
    tally.scale(1);
    // Of this process alone: other work on the machine is none of it.
    const start = process.cpuUsage().user;
    // A twentieth of it, so that the test is quick.
    for (let place = 0; place < 50_000; place++) {
      tally.begin();
      for (let k = 0; k < 32; k++) {
        const hash = scatter(32 * place + k);
        tally.see(place, hash & 65_535, (1 + (hash >>> 16)) / 4096);
      }
    }
    const seconds = (process.cpuUsage().user - start) / 1e6;
    expect(20 * seconds).toBeLessThan(60);
  });
});
