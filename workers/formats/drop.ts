/** What was dropped, before anyone looks inside: paths made alike, the system's own litter set aside, files by folder. */
import type { OpenedFile } from '../contract';

export interface Dropped {
  /** Folder, without a slash at either end; '' for loose files. */
  folder: string;
  name: string;
  path: string;
  file: File;
}
export interface Ignored {
  file: string;
  why: string;
}

const LITTER =
  /(^|\/)(__MACOSX|\.git|\.cache|\.huggingface)(\/|$)|(^|\/)(\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini|\.gitattributes|\.gitignore)$/i;

function normalise({ path, file }: OpenedFile): Dropped {
  const parts = (path || file.webkitRelativePath || file.name)
    .replaceAll('\\', '/')
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  const name = parts.pop() ?? file.name;
  const folder = parts.join('/');
  return { folder, name, path: folder ? `${folder}/${name}` : name, file };
}

export function sortIntoFolders(files: readonly OpenedFile[]): { folders: Map<string, Dropped[]>; ignored: Ignored[] } {
  const folders = new Map<string, Dropped[]>();
  const ignored: Ignored[] = [];
  for (const dropped of files.map(normalise)) {
    if (LITTER.test(dropped.path)) {
      ignored.push({ file: dropped.path, why: 'kept by the system or by version control, no part of a model' });
      continue;
    }
    const list = folders.get(dropped.folder);
    if (list) list.push(dropped);
    else folders.set(dropped.folder, [dropped]);
  }
  return { folders, ignored };
}

/** Is `folder` somewhere below `above`? Loose files ('') lie above nothing: they were dropped beside the folders, not around them. */
export const isBelow = (folder: string, above: string): boolean => above !== '' && folder.startsWith(`${above}/`);
