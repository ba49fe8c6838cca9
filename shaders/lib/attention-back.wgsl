// What the backward kernels of attention share: queries, keys and values as a run's hooks keep them, a row a token, sequences one after the other
// without a shared prefix. So the key at position t of row r's sequence is row r − pos + t, if that is a row of the same sequence.
#include row.wgsl
#include window.wgsl
struct Params { rows: u32, heads: u32, kv: u32, d4: u32, keys: u32, window: u32, scale: f32, cap: f32 }
fn groupOf(h: u32) -> u32 { return h / (p.heads / p.kv); }
