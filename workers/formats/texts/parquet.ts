/** .parquet: a document a row, of the column “text” or else the first that holds texts; a row group at a time. hyparquet reads it. */
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { LabError } from '../../errors';
import { readPiece } from '../read';
import { passagesOf, type TextSource } from './passage';

const HINT = 'Download it again; or save the texts as .jsonl, an object with a field “text” a line.';

export async function openParquet(blob: Blob, name: string): Promise<TextSource> {
  const file: AsyncBuffer = {
    byteLength: blob.size,
    slice: async (from, to = blob.size) =>
      (await readPiece(blob, from < 0 ? blob.size + from : from, Math.min(to, blob.size), name)).buffer,
  };
  const metadata = await guarded(name, () => parquetMetadataAsync(file));
  const column = columnOf(metadata, name);
  const rows = Number(metadata.num_rows);
  if (rows === 0) throw new LabError('text-empty', `${name} has no rows.`, 'Drop a file that holds some text.');
  const groups: { start: number; end: number }[] = [];
  let start = 0;
  for (const { num_rows } of metadata.row_groups) groups.push({ start, end: (start += Number(num_rows)) });
  return {
    documents: rows,
    end: rows,
    async *passages(from) {
      let { skipped } = from;
      for (const group of groups) {
        if (group.end <= from.at) continue;
        const rowStart = Math.max(group.start, from.at);
        const found = await guarded(name, () =>
          parquetReadObjects({ file, metadata, compressors, columns: [column], rowStart, rowEnd: group.end }),
        );
        for (const [i, row] of found.entries()) {
          const at = rowStart + i;
          const text: unknown = row[column];
          if (typeof text !== 'string') skipped++;
          else yield* passagesOf(text, { at, within: at === from.at ? from.within : 0, skipped });
        }
      }
    },
  };
}

/** Texts lie at the top of the schema, as byte arrays that are marked as UTF-8. */
function columnOf({ schema }: FileMetaData, name: string): string {
  const texts: string[] = [];
  for (let i = 1; i < schema.length; i += 1 + nested(schema, i)) {
    const each = schema[i];
    const text = each?.converted_type === 'UTF8' || each?.logical_type?.type === 'STRING';
    if (each && each.type === 'BYTE_ARRAY' && text && each.repetition_type !== 'REPEATED') texts.push(each.name);
  }
  const column = texts.includes('text') ? 'text' : texts[0];
  if (column === undefined) throw new LabError('text-garbage', `${name} has no column of texts.`, 'Drop a table with a column “text”.');
  return column;
}

/** Elements below element `i` of a schema. */
function nested(schema: FileMetaData['schema'], i: number): number {
  let count = 0;
  for (let child = 0; child < (schema[i]?.num_children ?? 0); child++) count += 1 + nested(schema, i + 1 + count);
  return count;
}

/** The library's errors are sentences about bytes. */
async function guarded<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof LabError) throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new LabError('text-garbage', `${name} is no parquet file that can be read (${why}).`, HINT);
  }
}
