/** Files out of a drop, folders walked, each with the path it had. Synthetic drops without entries are taken as plain files. */

export interface DroppedFile {
  path: string;
  file: File;
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((resolve, reject) => entry.file(resolve, reject));

async function walk(entry: FileSystemEntry): Promise<DroppedFile[]> {
  if (entry.isFile) return [{ path: entry.fullPath.replace(/^\//, ''), file: await fileOf(entry as FileSystemFileEntry) }];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const inside: FileSystemEntry[] = [];
  for (;;) {
    // A reader hands over a folder in parts, and an empty part at the end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    inside.push(...part);
  }
  return (await Promise.all(inside.map(walk))).flat();
}

/** The entries must be taken before the first await: a DataTransfer is emptied when its event is over. */
export async function droppedFiles(transfer: DataTransfer): Promise<DroppedFile[]> {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const found = items.map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  const plain = [...transfer.files];
  const taken = await Promise.all(
    found.map(({ entry, file }) => (entry ? walk(entry) : Promise.resolve(file ? [{ path: file.name, file }] : []))),
  );
  const files = taken.flat();
  return files.length ? files : plain.map((file) => ({ path: file.name, file }));
}

export const pickedFiles = (list: FileList | null): DroppedFile[] =>
  [...(list ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

export const carriesFiles = (transfer: DataTransfer | null): boolean => transfer?.types.includes('Files') ?? false;
