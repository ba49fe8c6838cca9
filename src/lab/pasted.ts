/**
 * Numbers a person pastes: a JSON array, { "data": […] } (or "vector", "values", "direction"), a nested array of one row, or
 * plain numbers between spaces, commas or lines, as numpy and PyTorch print them.
 */
import { LabError } from '../../workers/errors';

const bad = (message: string, hint: string): LabError => new LabError('vector-garbage', message, hint);
const NAMES = ['data', 'vector', 'values', 'direction'];

function fromJson(value: unknown): number[] | undefined {
  if (Array.isArray(value)) {
    if (value.length === 1 && Array.isArray(value[0])) return fromJson(value[0]);
    if (value.every((x): x is number => typeof x === 'number')) return value;
    return undefined;
  }
  if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) if (NAMES.includes(name)) return fromJson(inner);
  }
  return undefined;
}

function fromText(text: string): number[] {
  const inside = text.replace(/^\s*(?:np\.|torch\.)?(?:array|tensor)\s*\(/, '').replace(/,?\s*(?:dtype|device)\s*=[^,)]*/g, '');
  const parts = inside.split(/[\s,;()[\]]+/).filter((part) => part !== '');
  return parts.map((part) => {
    const x = Number(part);
    if (Number.isNaN(x)) throw bad(`“${part.slice(0, 24)}” is not a number.`, 'Paste numbers, or JSON such as [0.1, -0.2].');
    return x;
  });
}

/** The numbers of a pasted text, checked against the width of the hook where it is known. */
export function parsePasted(text: string, width?: number): number[] {
  const trimmed = text.trim();
  if (trimmed === '') throw bad('Nothing was pasted.', 'Paste numbers, or JSON such as [0.1, -0.2].');
  let numbers: number[] | undefined;
  if (trimmed.startsWith('[') || trimmed.startsWith('{')) {
    let json: unknown;
    try {
      json = JSON.parse(trimmed);
    } catch {
      if (trimmed.startsWith('{')) throw bad('The pasted JSON cannot be read.', 'Check its commas and brackets.');
    }
    if (json !== undefined) {
      numbers = fromJson(json);
      if (!numbers) throw bad('The pasted JSON holds no list of numbers.', 'Paste [0.1, -0.2, …] or {"data": [0.1, -0.2, …]}.');
    }
  }
  numbers ??= fromText(trimmed);
  const infinite = numbers.find((x) => !Number.isFinite(x));
  if (infinite !== undefined) throw bad(`The pasted vector holds ${infinite}.`, 'Every number must be finite.');
  if (width !== undefined && numbers.length !== width) {
    throw bad(
      `${numbers.length} numbers were pasted; this hook is ${width} wide.`,
      'Choose the hook the vector was made for, in this model.',
    );
  }
  if (numbers.every((x) => x === 0)) throw bad('The pasted vector is zero everywhere.', 'A direction needs a length.');
  return numbers;
}
