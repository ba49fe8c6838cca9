/**
 * Colour for numbers. Sequential scales are viridis-like (monotone in lightness, readable without colour vision); text on a
 * coloured cell is black or white, whichever contrasts more (WCAG relative luminance).
 */
import { scaleLinear } from 'd3-scale';
import { interpolateCividis, interpolateMagma, interpolateRdBu, interpolateViridis } from 'd3-scale-chromatic';

export type Colour = (share: number) => string;

/** 0 is quiet, 1 is loud: in the dark towards light, in the light towards dark. */
const towards = (map: (t: number) => string, dark: boolean, from: number, to: number): Colour => {
  const clamp = (share: number) => Math.min(1, Math.max(0, share));
  return (share) => map(dark ? from + clamp(share) * (to - from) : 1 - from - clamp(share) * (to - from));
};

/** The page's own accent, from the ground up: one hue, so that only lightness speaks. The same amber shades the token strips. */
export const amber = (dark: boolean): Colour => {
  const ramp = scaleLinear<string>()
    .domain([0, 1])
    .range(dark ? ['#1d2027', '#f0b54a'] : ['#fbf4e4', '#b87412'])
    .clamp(true);
  return (share) => ramp(share);
};
export const viridis = (dark: boolean): Colour => towards(interpolateViridis, dark, 0.06, 0.94);
export const cividis = (dark: boolean): Colour => towards(interpolateCividis, dark, 0.04, 0.96);
export const magma = (dark: boolean): Colour => towards(interpolateMagma, dark, 0.06, 0.9);
/** −1 blue … +1 red. */
export const diverging: Colour = (x) => interpolateRdBu(0.5 - Math.min(1, Math.max(-1, x)) / 2);

/** −1 blue … 0 the card's own ground … +1 orange: a difference of nothing is quiet in either theme, and the two ends are told apart without colour vision. */
export const balance = (dark: boolean): Colour => {
  const ramp = scaleLinear<string>()
    .domain([-1, 0, 1])
    .range(dark ? ['#5b9bff', '#20242d', '#f0764b'] : ['#2c66d8', '#f6f2ea', '#c4481b'])
    .clamp(true);
  return (share) => ramp(share);
};

export function channels(colour: string): [number, number, number] {
  const hex = /^#(..)(..)(..)$/.exec(colour);
  if (hex) return [hex[1], hex[2], hex[3]].map((part) => Number.parseInt(part ?? '0', 16)) as [number, number, number];
  const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return [r, g, b];
}

export function luminance(colour: string): number {
  const [r, g, b] = channels(colour).map((value) => {
    const x = value / 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function inkOn(ground: string): string {
  const light = luminance(ground);
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? '#000000' : '#ffffff';
}
