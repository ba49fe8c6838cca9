// The edits of one hook over one row of $BUF, in list order: units (heads) of `width` numbers, `stride` apart, from word `base`.
// Of a unit, the numbers from `lowest` to `visible` exist (the keys that the query sees, for scores and patterns). `only`: one unit's
// edits alone, or ALL.
// A workgroup of 64 calls it together; SERIAL (edit-head.wgsl), one thread with lid 0.
fn edit_$BUF(r: u32, lid: u32, first: u32, count: u32, base: u32, stride: u32, width: u32, lowest: u32, visible: u32, only: u32) {
  for (var n = 0u; n < count; n++) {
    let sequence = sequenceOf(first, n);
    if (sequence != EVERY && sequence != rows[r].seq) {
      n = skip(first, n, count, r);
      continue;
    }
    let e = readEdit(first + n * EDIT_WORDS);
    if (!applies(e, r)) { continue; }
    let value = number(e.dial);
    let strength = number(e.dial + 1u);
    // x + 0·(f(x) − x) would still lose −0, subnormals, and x itself where f overflows.
    if (strength == 0.0) { continue; }
    let groups = select(e.units, 1u, e.joined == 1u);
    let span = select(width, e.units * width, e.joined == 1u);
    for (var g = 0u; g < groups; g++) {
      meet();
      let u0 = e.unit0 + g;
      if (only != ALL && u0 != only) { continue; }
      if (e.kind == 3u) {
        let sourceRow = edits[e.map + rows[r].pos];
        if (sourceRow == 0xffffffffu) { continue; }
        for (var i = lid; i < span; i += STEP) {
          let off = i % width;
          // A source of width 0 is zero everywhere.
          if (off < lowest || off >= visible || (e.sourceWidth > 0u && off >= e.sourceWidth)) { continue; }
          let at = base + (u0 + i / width) * stride + off;
          var source = 0.0;
          if (e.sourceWidth > 0u) { source = number(e.vector + sourceRow * e.vectorWidth + (g + i / width) * e.sourceWidth + off); }
          let old = $BUF[at];
          $BUF[at] = select(old + strength * (source - old), source, strength == 1.0);
        }
        continue;
      }
      let many = min(span, e.vectorWidth);
      var along = 0.0;
      if (e.kind != 0u) {
        for (var i = lid; i < many; i += STEP) {
          let off = i % width;
          if (off >= lowest && off < visible) { along += $BUF[base + (u0 + i / width) * stride + off] * number(e.vector + i); }
        }
        along = editTotal(along, lid);
      }
      var c = strength * value;
      if (e.kind == 1u) { c = -strength * (1.0 - value) * along; }
      if (e.kind == 2u) { c = -strength * max(0.0, along - value); }
      for (var i = lid; i < many; i += STEP) {
        let off = i % width;
        if (off >= lowest && off < visible) { $BUF[base + (u0 + i / width) * stride + off] += c * number(e.vector + i); }
      }
    }
  }
  meet();
}
