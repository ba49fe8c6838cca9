/**
 * Sentence encoders out of a drop: folders as Hugging Face publishes them for ONNX, told by an encoder's config.json with a graph in the folder or in its onnx/. They are
 * taken out before anyone looks for language models, to whom such a folder would be a family unknown. Nothing is copied here; of the graph only its skeleton is read.
 *
 * How rows become one vector is a convention that nothing checks, so it is read where it is written (sentence-transformers' 1_Pooling/config.json) and shown.
 */
import type { EmbedderRecord, OpenedFile, Pooling } from '../contract';
import { LabError } from '../errors';
import { isBelow, sortIntoFolders, type Dropped, type Ignored } from './drop';
import { isObject, readObject, type JsonObject } from './json';
import { readSignature, type OnnxSignature } from './onnx';
import { readAll } from './read';
import { collect, listed, throwAll } from './reasons';
import { SentenceTokenizer } from './sentences';
import { checkIds } from './tokenizer';

export type EncoderDraft = Omit<EmbedderRecord, 'id' | 'files' | 'stored' | 'addedAt'>;
export interface Encoder {
  graph: File;
  /** Checks everything; throws all that is wrong together. */
  read(): Promise<EncoderDraft>;
}
export interface Encoders {
  encoders: Encoder[];
  /** What is no part of them, as it was dropped. */
  others: OpenedFile[];
  ignored: Ignored[];
}

/** model_type → positions that are not for tokens, counted from the padding's id on. */
const TYPES = new Set(
  'bert distilbert roberta xlm-roberta mpnet camembert albert electra deberta deberta-v2 nomic_bert modernbert new xlm convbert squeezebert mobilebert'.split(
    ' ',
  ),
);
const PADDED_POSITIONS = /^(roberta|xlm-roberta|camembert|mpnet)$/;
/** Of several graphs of one model, the one that fits a browser best: transformers.js's own order for WebAssembly. */
const FORMS = ['model_quantized.onnx', 'model_int8.onnx', 'model_uint8.onnx', 'model.onnx'];
const MOST_BYTES = 1e9;
/** Tokens, where no file says how many: what BERT was made for. */
const USUAL_LENGTH = 512;
const INPUTS = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'];
/** Pooled inside the graph, else a row a token: exporters' names. */
const POOLED = ['sentence_embedding', 'sentence_embeddings'];
const ROWS = ['last_hidden_state', 'token_embeddings', 'hidden_states', 'output'];
/** Published for ONNX without the file that says so: they read the first row. */
const FIRST_ROW = /(^|[/_-])(bge|snowflake-arctic-embed|mxbai-embed)-/i;
const OF_A_MODEL =
  /^(config\.json|tokenizer.*|special_tokens_map\.json|vocab\.(txt|json)|merges\.txt|modules\.json|sentence_.*\.json|config_sentence_transformers\.json|quanti.*_config.*\.json|.*\.onnx(_data)?)$/i;
const BESIDE = 'not what Loupe reads of an embedding model';
const isGraph = ({ name }: Dropped): boolean => /\.onnx$/i.test(name);

export async function findEncoders(files: readonly OpenedFile[]): Promise<Encoders> {
  const { folders } = sortIntoFolders(files);
  const encoders: Encoder[] = [];
  const ignored: Ignored[] = [];
  const taken = new Set<File>();
  for (const [folder, list] of folders) {
    const config = list.find((each) => each.name === 'config.json');
    const graphs = [...list, ...(folders.get(folder === '' ? 'onnx' : `${folder}/onnx`) ?? [])].filter(isGraph);
    const graph = choose(graphs);
    if (!config || !graph || !(await isEncoder(config))) continue;
    const own = [...folders]
      .filter(([other]) => other === folder || (folder === '' ? /^(onnx|\d_\w+)$/.test(other) : isBelow(other, folder)))
      .flatMap(([other, all]) => (other === '' ? all.filter((each) => OF_A_MODEL.test(each.name)) : all));
    const used = new Set<Dropped>([graph]);
    const find = (pattern: RegExp): Dropped | undefined => {
      const found = own.find((each) => pattern.test(folder === '' ? each.path : each.path.slice(folder.length + 1)));
      if (found) used.add(found);
      return found;
    };
    const parts: Parts = {
      folder,
      graph,
      config: find(/^config\.json$/),
      tokenizer: find(/^tokenizer\.json$/),
      tokenizerConfig: find(/^tokenizer_config\.json$/),
      pooling: find(/(^|\/)\d_Pooling\/config\.json$/),
      modules: find(/^modules\.json$/),
      length: find(/^sentence_\w+_config\.json$/),
    };
    encoders.push({ graph: graph.file, read: () => draft(parts) });
    for (const each of own) {
      taken.add(each.file);
      if (!used.has(each)) ignored.push({ file: each.path, why: graphs.includes(each) ? `${graph.name} is read instead` : BESIDE });
    }
  }
  return { encoders, others: files.filter(({ file }) => !taken.has(file)), ignored };
}

function choose(graphs: readonly Dropped[]): Dropped | undefined {
  const best = FORMS.map((form) => graphs.find(({ name }) => name === form)).find((each) => each !== undefined);
  return best ?? [...graphs].sort((a, b) => a.file.size - b.file.size)[0];
}

/** A config.json that cannot be read is left to whoever reads models, who says so. */
async function isEncoder({ file, path }: Dropped): Promise<boolean> {
  const config = await readObject(file, path, 'config-garbage', '').catch(() => undefined);
  return config !== undefined && TYPES.has(String(config['model_type']));
}

interface Parts {
  folder: string;
  graph: Dropped;
  config: Dropped | undefined;
  tokenizer: Dropped | undefined;
  tokenizerConfig: Dropped | undefined;
  pooling: Dropped | undefined;
  modules: Dropped | undefined;
  length: Dropped | undefined;
}

async function draft(parts: Parts): Promise<EncoderDraft> {
  const { folder, graph } = parts;
  const where = folder || 'The embedding model';
  const reasons: LabError[] = [];
  const json = async (dropped: Dropped | undefined, code: string): Promise<JsonObject> =>
    (dropped && (await collect(reasons, () => readObject(dropped.file, dropped.path, code, 'Download it again.')))) ?? {};
  const config = await json(parts.config, 'config-garbage');
  const tokenizer = await json(parts.tokenizer, 'tokenizer-garbage');
  const tokenizerConfig = await json(parts.tokenizerConfig, 'tokenizer-garbage');
  const length = await json(parts.length, 'config-garbage');
  const pooled = await json(parts.pooling, 'config-garbage');
  const maxTokens = longest(config, tokenizerConfig, length);
  if (!parts.tokenizer)
    reasons.push(
      new LabError('tokenizer-missing', `${where}: no tokenizer.json was dropped.`, 'Drop the tokenizer.json of the same model with it.'),
    );
  else
    await collect(reasons, () => {
      const vocab = Number(config['vocab_size'] ?? NaN);
      if (vocab > 0) checkIds({ tokenizer, vocab });
      new SentenceTokenizer({ tokenizer, tokenizerConfig }, maxTokens).encode('a');
    });
  if (graph.file.size > MOST_BYTES)
    reasons.push(
      new LabError(
        'embedder-too-large',
        `${graph.path} has ${Math.round(graph.file.size / 1e6)} MB; at most ${MOST_BYTES / 1e6} fit in a tab beside everything else.`,
        'Drop a small model: a quantised one of 20 to 130 MB is enough for labels.',
      ),
    );
  const signature = await collect(reasons, async () => checked(await readSignature(graph.file, graph.path), graph.path));
  const output = signature && outputOf(signature);
  const pooling = output === undefined ? undefined : await collect(reasons, () => poolingOf(output, pooled, config, folder, where));
  if (pooling !== 'graph') await collect(reasons, () => noMoreModules(parts.modules, where));
  throwAll(reasons);
  if (!signature || output === undefined || !pooling)
    throw new LabError('internal', `${where} was refused without a reason.`, 'Please report this.');
  return {
    name: nameOf(folder, config),
    type: String(config['model_type']),
    tokenizer,
    tokenizerConfig,
    pooling,
    maxTokens,
    inputs: signature.inputs,
    output,
    batches: !signature.operations.some((each) => /DynamicQuantize/.test(each)),
  };
}

function checked(signature: OnnxSignature, path: string): OnnxSignature {
  const unknown = signature.inputs.filter((each) => !INPUTS.includes(each));
  if (unknown.length > 0 || !signature.inputs.includes('input_ids'))
    throw unsupported(`${path} asks for ${listed(signature.inputs)}, not for a text’s ${listed(INPUTS)}`);
  if (signature.external) throw unsupported(`${path} keeps its weights in another file`);
  if (outputOf(signature) === undefined)
    throw unsupported(`${path} gives ${listed(signature.outputs)}, neither a vector a text nor one a token`);
  return signature;
}

function outputOf({ outputs }: OnnxSignature): string | undefined {
  return [...POOLED, ...ROWS].find((name) => outputs.includes(name)) ?? (outputs.length === 1 ? outputs[0] : undefined);
}

/** What 1_Pooling/config.json says; some publishers' habit where there is none; else the mean. */
function poolingOf(output: string, file: JsonObject, config: JsonObject, folder: string, where: string): Pooling {
  if (POOLED.includes(output)) return 'graph';
  const told = typeof file['pooling_mode'] === 'string' ? [file['pooling_mode']] : Object.keys(file).filter((key) => file[key] === true);
  const modes = told.filter((key) => key !== 'include_prompt').map((key) => key.replace(/^pooling_mode_|_tokens?$/g, ''));
  const [mode] = modes;
  if (mode === undefined) return FIRST_ROW.test(`${folder}/${String(config['_name_or_path'] ?? '')}`) ? 'cls' : 'mean';
  // The mean times √n: the same once its length is 1.
  if (modes.length === 1 && (mode === 'mean' || mode === 'mean_sqrt_len')) return 'mean';
  if (modes.length === 1 && mode === 'cls') return 'cls';
  throw unsupported(`${where} pools by ${listed(modes)}`);
}

/** A layer after the pooling is not in the graph, so its vectors would be others than the model's. */
async function noMoreModules(dropped: Dropped | undefined, where: string): Promise<void> {
  if (!dropped) return;
  const text = new TextDecoder().decode(await readAll(dropped.file, dropped.path));
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new LabError('config-garbage', `${dropped.path} is not readable JSON (${why}).`, 'Download it again, or leave it out.');
  }
  const types = (Array.isArray(list) ? list : []).map((each: unknown) => (isObject(each) ? String(each['type']).split('.').pop() : ''));
  const more = types.filter((type) => type && !['Transformer', 'Pooling', 'Normalize'].includes(type)).map(String);
  if (more.length > 0) throw unsupported(`${where} goes on after the pooling, by ${listed(more)}`);
}

/** The shortest that any file says. */
function longest(config: JsonObject, tokenizerConfig: JsonObject, length: JsonObject): number {
  const padding = PADDED_POSITIONS.test(String(config['model_type'])) ? Number(config['pad_token_id'] ?? 1) + 1 : 0;
  const said = [length['max_seq_length'], tokenizerConfig['model_max_length'], Number(config['max_position_embeddings']) - padding];
  const sane = said.map(Number).filter((each) => Number.isInteger(each) && each >= 3 && each <= 1e6);
  return sane.length > 0 ? Math.min(...sane) : USUAL_LENGTH;
}

function nameOf(folder: string, config: JsonObject): string {
  const cached = /(?:^|\/)models--([^/]+)\//.exec(`${folder}/`)?.[1]?.split('--').pop();
  const origin = config['_name_or_path'];
  return (
    cached ||
    folder.split('/').pop() ||
    (typeof origin === 'string' && origin.split('/').pop()) ||
    `${String(config['model_type'])} encoder`
  );
}

const unsupported = (what: string): LabError =>
  new LabError('embedder-unsupported', `${what}.`, 'docs/dictionaries.md, “Search by meaning”, says which embedding models can be used.');
