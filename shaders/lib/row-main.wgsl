// Calls row(r, lid): with a workgroup of 64 a row, or, SERIAL, with one thread a row.
#if SERIAL
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < p.rows) { row(id.x, 0u); }
}
#else
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) { row(wg.x, lid); }
#end
