/**
 * The demo world as the page meets it: a small model, ready vectors and dictionaries, among the site's own files. It is put on the shelf by the same import as
 * anything that is dropped. What became of it is remembered apart from the session, so that what a person removed stays away until it is asked for.
 */
import type { ModelInfo, Opened } from '../../workers/api';
import type { OpenedFile } from '../../workers/contract';
import { LabError } from '../../workers/errors';

/** Everything that is fetched before the first token. */
export const MODEL_FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'] as const;
const FOLDER = 'demo/lanternwick';
const VECTORS = 'demo/vectors.safetensors';
/** Its dictionaries, a folder each: two depths, one of them at two widths. */
export const DICTIONARIES = ['lanternwick-l0-2k', 'lanternwick-l1-2k', 'lanternwick-l1-512'] as const;
export const DICTIONARY_FILES = ['cfg.json', 'sae_weights.safetensors', 'labels.json'] as const;
const DICTIONARY_FOLDER = 'demo/dictionaries';
/** Documents of the town that no training has read, for whoever has no text at hand. It stands on the shelf under this name. */
export const TEXTS = { at: 'demo/texts.txt', name: 'Lanternwick, unread.txt' };
const KEY = 'loupe.demo.1';

export interface DemoState {
  /** The demo's id on this shelf, once it was there. */
  model?: string;
  /** A person took it off the shelf. */
  removed: boolean;
  /** Its vectors were put on the shelf; those that are gone were removed. */
  vectors: boolean;
  /** Its dictionaries and its text likewise. */
  dictionaries: boolean;
}

export function readState(json: string | null): DemoState {
  let saved: Partial<Record<keyof DemoState, unknown>> = {};
  try {
    const value: unknown = JSON.parse(json ?? '{}');
    if (typeof value === 'object' && value !== null) saved = value;
  } catch {
    // Another version wrote something else.
  }
  return {
    ...(typeof saved.model === 'string' ? { model: saved.model } : {}),
    removed: saved.removed === true,
    vectors: saved.vectors === true,
    dictionaries: saved.dictionaries === true,
  };
}

/** Milliseconds after which a server that does not go on is given up. */
const STALLED = 120_000;

/** One of the demo's files, from the page's own origin. */
async function fetched(path: string): Promise<File> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  let response: Response;
  try {
    response = await fetch(new URL(path, document.baseURI), { credentials: 'same-origin', signal: AbortSignal.timeout(STALLED) });
    if (response.ok) return new File([await response.blob()], name);
  } catch {
    throw new LabError(
      'demo-unreachable',
      `The demo world could not be fetched: ${name} did not come.`,
      'It comes with this page’s first visit and needs the network then. Ask for it again on the shelf, or drop a model of your own.',
    );
  }
  throw new LabError(
    'demo-missing',
    `The demo world is not whole on this site: ${name} answered ${response.status}.`,
    'Whoever published this copy left it out. Everything else works: drop a model of your own.',
  );
}

/** A fetched file under the name that it has on the shelf. */
async function renamed(at: string, path: string): Promise<File> {
  return new File([await fetched(at)], path.slice(path.lastIndexOf('/') + 1));
}

interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Storage that is refused keeps nothing: every visit is then a first one. */
function browserStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

export class DemoWorld {
  #state: DemoState;
  #fetching: Promise<OpenedFile[]> | undefined;
  #shelving: Promise<ModelInfo> | undefined;
  #following: Promise<void> | undefined;

  constructor(private readonly storage: Storage | undefined = browserStorage()) {
    this.#state = readState(this.storage?.getItem(KEY) ?? null);
  }

  get state(): Readonly<DemoState> {
    return this.#state;
  }

  #set(change: Partial<DemoState>): void {
    this.#state = { ...this.#state, ...change };
    try {
      this.storage?.setItem(KEY, JSON.stringify(this.#state));
    } catch {
      // Not kept.
    }
  }

  isDemo(model: Pick<ModelInfo, 'id'> | undefined): boolean {
    return model !== undefined && model.id === this.#state.model;
  }

  /** Its files, fetched once however often they are asked for; asked for early, they come while the workers start. */
  fetch(): Promise<OpenedFile[]> {
    if (!this.#fetching) {
      const fetching = Promise.all(
        MODEL_FILES.map(async (name) => ({ path: `Lanternwick/${name}`, file: await fetched(`${FOLDER}/${name}`) })),
      );
      this.#fetching = fetching;
      fetching.catch(() => (this.#fetching = undefined));
    }
    return this.#fetching;
  }

  /** Puts it on the shelf by the import given, once however often it is asked for meanwhile. */
  shelve(open: (files: OpenedFile[]) => Promise<Opened>): Promise<ModelInfo> {
    this.#shelving ??= this.#shelve(open).finally(() => (this.#shelving = this.#fetching = undefined));
    return this.#shelving;
  }

  async #shelve(open: (files: OpenedFile[]) => Promise<Opened>): Promise<ModelInfo> {
    const [model] = (await open(await this.fetch())).models;
    if (!model) throw new LabError('demo-missing', 'The demo world’s files hold no model.', 'Drop a model of your own.');
    const again = model.id === this.#state.model && !this.#state.removed;
    this.#set({ model: model.id, removed: false, ...(again ? {} : { vectors: false, dictionaries: false }) });
    return model;
  }

  removed(id: string): void {
    if (id === this.#state.model) this.#set({ removed: true });
  }

  /** The file of its vectors, where they are due: once, after the model is there. */
  async vectors(): Promise<OpenedFile | undefined> {
    if (this.#state.model === undefined || this.#state.removed || this.#state.vectors) return undefined;
    return { path: VECTORS, file: await fetched(VECTORS) };
  }

  vectorsKept(): void {
    this.#set({ vectors: true });
  }
  /** Puts its dictionaries and its text on the shelf by the import given, where they are due: once, after the model is there, and never again what was removed. */
  follow(open: (files: OpenedFile[]) => Promise<unknown>): Promise<void> {
    const { model, removed, dictionaries } = this.#state;
    if (model === undefined || removed || dictionaries) return Promise.resolve();
    this.#following ??= this.#follow(open).finally(() => (this.#following = undefined));
    return this.#following;
  }

  async #follow(open: (files: OpenedFile[]) => Promise<unknown>): Promise<void> {
    const paths = DICTIONARIES.flatMap((folder) => DICTIONARY_FILES.map((file) => `${folder}/${file}`));
    const wanted = [...paths.map((path) => ({ path, at: `${DICTIONARY_FOLDER}/${path}` })), { path: TEXTS.name, at: TEXTS.at }];
    await open(await Promise.all(wanted.map(async ({ path, at }) => ({ path, file: await renamed(at, path) }))));
    this.#set({ dictionaries: true });
  }
}
