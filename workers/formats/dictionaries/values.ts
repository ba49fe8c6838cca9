/** Values out of a configuration, and small tensors as numbers. What is missing or of the wrong kind is refused by name. */
import type { LooseFile, LooseTensor } from '../loose';
import { isObject, type JsonObject } from '../json';
import { toF32 } from './numbers';
import { badValue } from './refusals';

export interface Config {
  where: string;
  values: JsonObject;
}

const refuse = ({ where }: Config, key: string, value: unknown, wanted: string): never => {
  throw badValue(where, `“${key}” is ${value === undefined ? 'missing' : JSON.stringify(value)}, not ${wanted}`);
};

export function count(config: Config, key: string): number {
  const value = config.values[key];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
    ? value
    : refuse(config, key, value, 'a whole number above 0');
}
export const countIf = (config: Config, key: string): number | undefined =>
  config.values[key] === undefined || config.values[key] === null ? undefined : count(config, key);

export function positive(config: Config, key: string): number {
  const value = config.values[key];
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : refuse(config, key, value, 'a number above 0');
}

export function text(config: Config, key: string): string {
  const value = config.values[key];
  return typeof value === 'string' && value !== '' ? value : refuse(config, key, value, 'a text');
}
export const textIf = (config: Config, key: string): string | undefined =>
  config.values[key] === undefined || config.values[key] === null ? undefined : text(config, key);

export function flag(config: Config, key: string, otherwise: boolean): boolean {
  const value = config.values[key];
  if (value === undefined || value === null) return otherwise;
  return typeof value === 'boolean' ? value : refuse(config, key, value, 'true or false');
}

/** A part of a configuration; empty where there is none. */
export function part({ where, values }: Config, key: string): Config {
  const value = values[key];
  if (value !== undefined && value !== null && !isObject(value))
    throw badValue(where, `“${key}” is ${JSON.stringify(value)}, not an object`);
  return { where: `${where}, “${key}”`, values: isObject(value) ? value : {} };
}

/** One number, kept as a tensor of one element or beside the tensors. */
export async function scalar({ tensors, plain }: LooseFile, name: string, where: string): Promise<number | undefined> {
  const tensor = tensors.find((each) => each.name === name);
  const value = tensor ? await only(tensor, where) : plain[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || Number.isNaN(value)) throw badValue(where, `“${name}” is ${JSON.stringify(value)}, not a number`);
  return value;
}

export async function only(tensor: LooseTensor, where: string): Promise<number> {
  const [value, ...more] = await numbers(tensor);
  if (value === undefined || more.length > 0) throw badValue(where, `“${tensor.name}” is not one number`);
  return value;
}

/** Every number of a small tensor. */
export const numbers = async (tensor: LooseTensor): Promise<number[]> => [...toF32(await tensor.read(), tensor.dtype)];

/** Keys of a configuration that no reader has a meaning for, as a note. Training's own settings are not among them. */
export function unknownKeys(file: string, values: JsonObject, known: ReadonlySet<string>, training: RegExp): string[] {
  const strange = Object.keys(values).filter((key) => !known.has(key) && !training.test(key));
  return strange.length === 0
    ? []
    : [`${file} also says ${strange.map((key) => `${key}: ${short(values[key])}`).join(', ')}; Loupe makes nothing of it.`];
}
const short = (value: unknown): string => {
  const said = JSON.stringify(value) ?? 'nothing';
  return said.length > 60 ? `${said.slice(0, 57)}…` : said;
};
