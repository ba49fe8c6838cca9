/** Where a floating card goes: under its anchor, above it where there is no room, and always inside the window. */
export function place(anchor: DOMRect, width: number, height: number): { left: number; top: number } {
  const gap = 6;
  const edge = 8;
  const left = Math.min(Math.max(edge, anchor.left + anchor.width / 2 - width / 2), Math.max(edge, innerWidth - width - edge));
  const below = anchor.bottom + gap;
  const top = below + height + edge <= innerHeight || anchor.top < height + gap + edge ? below : anchor.top - gap - height;
  return { left, top };
}
