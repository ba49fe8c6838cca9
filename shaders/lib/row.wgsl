// One row of a run: a token at a position of a sequence. `slot` is its cache slot; keys before prefixLen are read from
// prefixSlot instead (a shared prefix). `follow`: the row whose sampled token this row takes next (generation only).
struct Row { token: u32, pos: u32, slot: u32, prefixSlot: u32, prefixLen: u32, seq: u32, flags: u32, follow: u32 }
