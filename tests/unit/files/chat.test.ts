import { describe, expect, it } from 'vitest';
import type { ModelInfo, Opened } from '../../../workers/api';
import { Files } from '../../../workers/files';
import { shelf } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { gpt2Folder, opened } from '../safetensors-writer';

const TEMPLATE = '{{ bos_token }}{% for message in messages %}{{ message.content }} {% endfor %}{% if add_generation_prompt %}b{% endif %}';
const ask = [{ role: 'user', content: 'ab' }];

const only = ({ models: [model] }: Opened): ModelInfo => {
  if (!model) throw new Error('nothing was opened');
  return model;
};
async function dropped(more: Record<string, string | object>): Promise<{ files: Files; id: string; ignored: string[] }> {
  const files = new Files(shelf().library);
  const result = await files.open(gpt2Folder('m', { more: Object.entries(more).map(([name, what]) => opened(`m/${name}`, what)) }), 'job');
  return { files, id: only(result).id, ignored: result.ignored.map(({ file }) => file) };
}

describe('a chat with a kept model', () => {
  it.each<[string, Record<string, string | object>]>([
    ['tokenizer_config.json', { 'tokenizer_config.json': { bos_token: '<s>', chat_template: TEMPLATE } }],
    ['a list in it', { 'tokenizer_config.json': { bos_token: '<s>', chat_template: [{ name: 'default', template: TEMPLATE }] } }],
    ['chat_template.jinja', { 'tokenizer_config.json': { bos_token: '<s>', chat_template: 'another' }, 'chat_template.jinja': TEMPLATE }],
    ['chat_template.json', { 'tokenizer_config.json': { bos_token: '<s>' }, 'chat_template.json': { chat_template: TEMPLATE } }],
  ])('reads its template from %s, and adds no BOS to the one it writes', async (_, more) => {
    const { files, id, ignored } = await dropped(more);
    expect(ignored).toEqual([]);
    expect((await files.vocabulary(id)).chat).toBe(true);
    expect(await files.chat(id, ask)).toEqual({ ids: [0, 4, 3, 2], pieces: ['<s>', 'ab', ' ', 'b'] });
    expect((await files.chat(id, [...ask, { role: 'assistant', content: 'a' }])).pieces).toEqual(['<s>', 'ab', ' a']);
  });
  it('adds no BOS where the template writes none, though a plain text gets one', async () => {
    const { files, id } = await dropped({ 'chat_template.jinja': '{{ messages[0].content }}' });
    expect((await files.chat(id, ask)).ids).toEqual([4]);
    expect((await files.tokenize(id, 'ab')).ids).toEqual([0, 4]);
  });
  it('is refused where there is no template, and plain text still works', async () => {
    const { files, id } = await dropped({ 'tokenizer_config.json': { chat_template: null } });
    expect((await files.vocabulary(id)).chat).toBe(false);
    expect((await refusal(() => files.chat(id, ask))).code).toBe('chat-template-missing');
    expect((await files.tokenize(id, 'ab')).ids).toEqual([0, 4]);
  });
  it('is refused where the template is garbage; the model is kept all the same', async () => {
    const { files, id } = await dropped({ 'chat_template.jinja': '{% if' });
    expect((await files.vocabulary(id)).chat).toBe(true);
    expect((await refusal(() => files.chat(id, ask))).code).toBe('chat-template-garbage');
  });
  it('the same weights with another template are another model', async () => {
    const files = new Files(shelf().library);
    const drop = async (template: string): Promise<string> =>
      only(await files.open(gpt2Folder('m', { more: [opened('m/chat_template.jinja', template)] }), 'job')).id;
    const plain = only(await files.open(gpt2Folder('m'), 'job')).id;
    const ids = [plain, await drop('a'), await drop('b'), await drop('a')];
    expect(new Set(ids).size).toBe(3);
    expect((await files.chat(ids[2] ?? '', ask)).pieces).toEqual(['b']);
  });
  it('a template as large as a book, or a chat_template.json that is none, is refused at the door', async () => {
    const code = async (name: string, content: string): Promise<string> => (await refusal(() => dropped({ [name]: content }))).code;
    expect(await code('chat_template.jinja', ' '.repeat(1_000_001))).toBe('chat-template-garbage');
    expect(await code('chat_template.json', '[')).toBe('chat-template-garbage');
  });
});
