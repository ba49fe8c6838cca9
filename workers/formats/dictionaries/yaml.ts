/** The little YAML that dictionaries bring: lines of `key: value` at the left edge. Lists and nested parts are passed over. */
import { readAll } from '../read';
import type { JsonObject } from '../json';

export async function readFlatYaml(file: File, name: string): Promise<JsonObject> {
  const values: JsonObject = {};
  for (const line of new TextDecoder().decode(await readAll(file, name)).split(/\r?\n/)) {
    const [, key, raw = ''] = /^([A-Za-z_][\w-]*):(?:\s+(.*))?$/.exec(line) ?? [];
    if (key !== undefined && raw.trim() !== '') values[key] = value(raw.trim());
  }
  return values;
}

function value(raw: string): string | number | boolean | null {
  const quoted = /^(["'])(.*?)\1\s*(#.*)?$/.exec(raw);
  if (quoted) return quoted[2] ?? '';
  const bare = raw.replace(/\s+#.*$/, '');
  if (/^(true|false)$/i.test(bare)) return bare.toLowerCase() === 'true';
  if (/^(null|~)$/i.test(bare)) return null;
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(bare) ? Number(bare) : bare;
}
