// Edits: x + strength·(f(x) − x), each a record in one buffer of words that also holds its numbers, its positions and its dial.
//   add      f(x) = x + value·v
//   project  f(x) = x − (1 − value)(x·v̂)v̂
//   cap      f(x) = x − max(0, x·v̂ − value)v̂
//   replace  f(x) = the source's row
// A row is edited where the record's sequence is its own (or EVERY), its position's bit is set, and, with skipSpecial, its token is
// no special one. The dial (value, strength) is read at every run, so that a slider is one 16-byte write.
struct Edit {
  kind: u32, seq: u32, vector: u32, vectorWidth: u32,
  unit0: u32, units: u32, joined: u32, positions: u32,
  skipSpecial: u32, map: u32, sourceWidth: u32, dial: u32,
}
const EDIT_WORDS = 12u;
const ALL = 0xffffffffu;
const EVERY = 0xffffffffu;
fn readEdit(at: u32) -> Edit {
  return Edit(
    edits[at], edits[at + 1u], edits[at + 2u], edits[at + 3u], edits[at + 4u], edits[at + 5u],
    edits[at + 6u], edits[at + 7u], edits[at + 8u], edits[at + 9u], edits[at + 10u], edits[at + 11u]);
}
fn number(at: u32) -> f32 { return bitcast<f32>(edits[at]); }
fn bit(at: u32, i: u32) -> bool { return ((edits[at + (i >> 5u)] >> (i & 31u)) & 1u) == 1u; }
// Word 0 of the buffer says where the bits of the special tokens start.
fn applies(e: Edit, r: u32) -> bool {
  let row = rows[r];
  if ((e.seq != row.seq && e.seq != EVERY) || !bit(e.positions, row.pos)) { return false; }
  return e.skipSpecial == 0u || !bit(edits[0], row.token);
}
fn sequenceOf(first: u32, n: u32) -> u32 { return edits[first + n * EDIT_WORDS + 1u]; }
// A hook's records lie in the order of their sequences, those of EVERY first. From record n, which is not the row's: the last that lies before
// the row's own (a sweep has one for each of a thousand cells), or `count` where there is none.
fn skip(first: u32, n: u32, count: u32, r: u32) -> u32 {
  let own = rows[r].seq;
  if (sequenceOf(first, n) > own) { return count; }
  var low = n;
  var high = count;
  while (low + 1u < high) {
    let middle = (low + high) / 2u;
    if (sequenceOf(first, middle) < own) { low = middle; } else { high = middle; }
  }
  return low;
}
// SERIAL 1: one thread has the row to itself, and there is nobody to wait for: for devices where barriers are dear.
#if SERIAL
const STEP = 1u;
fn meet() {}
fn editTotal(v: f32, lid: u32) -> f32 { return v; }
#else
const STEP = 64u;
fn meet() {
  storageBarrier();
  workgroupBarrier();
}
#include reduce.wgsl NAME=editTotal SIZE=64
#end
