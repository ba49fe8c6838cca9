/** Gemma 2's cap on scores and logits: cap·tanh(x/cap), which bends what is large and leaves what is small. A cap of 0 is none. */
export const softcap = (x: number, cap: number): number => (cap > 0 ? cap * Math.tanh(x / cap) : x);
