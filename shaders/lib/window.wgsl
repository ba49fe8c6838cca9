// The first key that a query sees: its window's, itself included, or the first of all where there is no window (0).
fn firstKey(pos: u32, window: u32) -> u32 { return select(0u, pos + 1u - window, window > 0u && pos + 1u > window); }
