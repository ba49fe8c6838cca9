/** Chat templates against transformers' own rendering; chat/make.py makes what they are held to, and says how. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ChatMessage } from '../../../workers/api';
import { chatTemplateOf, namedTokens, renderChat } from '../../../workers/formats/chat';
import type { JsonObject } from '../../../workers/formats/json';
import { strftime } from '../../../workers/formats/strftime';
import { ModelTokenizer } from '../../../workers/formats/tokenizer';
import { refusal } from '../refusal';

const here = (file: string): string => fileURLToPath(new URL(`chat/${file}`, import.meta.url));
const json = (file: string): unknown => JSON.parse(readFileSync(here(file), 'utf8'));
const template = (name: string): string => readFileSync(here(`templates/${name}.jinja`), 'utf8');

interface Case {
  template: string;
  tokenizer: string;
  tokens: Record<string, string>;
  name: string;
  messages: ChatMessage[];
  options: { add_generation_prompt?: boolean; continue_final_message?: boolean };
  expected: { text: string; ids: number[] } | { refused: string } | { lost: true };
}
const cases = json('chat.json') as Case[];
const tokenizers = json('tokenizers.json') as Record<string, { tokenizer: JsonObject }>;
const tokenizer = (name: string): ModelTokenizer =>
  new ModelTokenizer({
    tokenizer: tokenizers[name]?.tokenizer ?? {},
    tokenizerConfig: {},
    generationConfig: {},
    config: {},
    vocab: 600,
    prependBos: true,
  });

const ask: ChatMessage[] = [{ role: 'user', content: 'Who lights the lamp?' }];
const answered: ChatMessage[] = [...ask, { role: 'assistant', content: 'The keeper.' }];

describe('chat templates', () => {
  it.each([...new Set(cases.map((each) => each.template))])(
    'in the shape of %s read every conversation as transformers does',
    async (name) => {
      const mine = cases.filter((each) => each.template === name);
      const reader = tokenizer(mine[0]?.tokenizer ?? '');
      for (const { name: what, messages, options, tokens, expected } of mine) {
        const given = {
          generationPrompt: options.add_generation_prompt ?? false,
          continueFinal: options.continue_final_message ?? false,
        };
        const where = `${what}, ${JSON.stringify(options)}`;
        const call = (): Promise<string> => renderChat(template(name), messages, given, tokens);
        if ('text' in expected) {
          const text = await call();
          expect(text, where).toBe(expected.text);
          expect(reader.encode(text, false).ids, where).toEqual(expected.ids);
        } else if ('refused' in expected) {
          const error = await refusal(call);
          expect(error.code, where).toBe('chat-template-refused');
          expect(error.message, where).toContain(expected.refused);
          expect(error.hint).not.toBe('');
        } else expect((await refusal(call)).code, where).toBe('chat-continue-failed');
      }
      expect(mine).toHaveLength(36);
    },
  );
  it('are held to 252 renderings: 218 texts, 30 refusals, 4 endings that cannot be gone on from', () => {
    const kinds = cases.map(({ expected }) => Object.keys(expected)[0]);
    const counted = ['text', 'refused', 'lost'].map((kind) => kinds.filter((each) => each === kind).length);
    expect([cases.length, ...counted]).toEqual([252, 218, 30, 4]);
  });
  it('end where the assistant is to speak, or go on with what it has begun', async () => {
    const chatml = template('chatml');
    expect(await renderChat(chatml, ask)).toMatch(/<\|im_start\|>assistant\n$/);
    expect(await renderChat(chatml, answered)).toMatch(/assistant\nThe keeper\.$/);
    expect(await renderChat(chatml, answered, { continueFinal: false })).toMatch(/The keeper\.<\|im_end\|>\n$/);
    expect(await renderChat(chatml, answered, { generationPrompt: true })).toMatch(/The keeper\.<\|im_end\|>\n<\|im_start\|>assistant\n$/);
    expect(await renderChat(chatml, ask, { generationPrompt: false })).toMatch(/lamp\?<\|im_end\|>\n$/);
    expect(await renderChat(chatml, ask, { continueFinal: true })).toMatch(/user\nWho lights the lamp\?$/);
    const both = await refusal(() => renderChat(chatml, answered, { generationPrompt: true, continueFinal: true }));
    expect(both.code).toBe('request-invalid');
  });
  it('write exactly one BOS, and none that they do not write', async () => {
    for (const [name, kind, bos] of [
      ['turns', 'gemma', '<bos>'],
      ['ends', 'phi3', '<s>'],
      ['inst', 'mistral', '<s>'],
      ['headers', 'llama3', '<|begin_of_text|>'],
    ] as const) {
      const { pieces } = tokenizer(kind).encode(await renderChat(template(name), ask, {}, { bos_token: bos, eos_token: '' }), false);
      expect(pieces.filter((piece) => piece === bos)).toHaveLength(1);
      expect(pieces[0]).toBe(bos);
    }
    expect(tokenizer('qwen').encode(await renderChat(template('chatml'), ask), false).pieces[0]).toBe('<|im_start|>');
  });
});

describe('what goes wrong with a chat', () => {
  const code = async (given: string | undefined, messages: unknown = ask): Promise<string> =>
    (await refusal(() => renderChat(given, messages))).code;

  it('has a code each', async () => {
    expect(await code(undefined)).toBe('chat-template-missing');
    for (const garbage of ['{% if', '{{ ', '{% for x in %}', '{% unheard_of %}', "{{ 'a }}"])
      expect(await code(garbage), garbage).toBe('chat-template-garbage');
    for (const failing of ['{{ messages | melt }}', '{{ messages.fly() }}', '{{ undefined_function() }}', '{{ 1 + none }}'])
      expect(await code(failing), failing).toBe('chat-template-failed');
    expect(await code("{{ raise_exception('no') }}")).toBe('chat-template-refused');
    for (const wrong of [[], 'hello', null, {}, [{ role: 'user' }], [...ask, { role: 1, content: '' }], [null], [['user', 'hi']]])
      expect(await code('{{ messages }}', wrong), JSON.stringify(wrong)).toBe('chat-messages');
  });
  it('is told with the template’s own words, and which message it is', async () => {
    expect((await refusal(() => renderChat("{{ raise_exception('Roles must ' + 'alternate') }}", ask))).message).toMatch(
      /Roles must alternate$/,
    );
    expect((await refusal(() => renderChat('', [...ask, { role: 'user', content: 3 }]))).message).toContain('Message 1');
  });
  it('is a LabError, whatever the template says', async () => {
    const part = fc.constantFrom(
      '{{',
      '}}',
      '{%',
      '%}',
      '{#',
      '#}',
      'for',
      ' m in messages',
      'if ',
      'endfor',
      "'",
      '.x',
      '[',
      ']',
      '|trim',
      '1',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(part, fc.string({ maxLength: 4 })), { maxLength: 12 }), async (parts) => {
        await renderChat(parts.join(''), ask).catch((thrown: unknown) => expect(thrown).toMatchObject({ name: 'LabError' }));
      }),
    );
  });
});

describe('a hostile template', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('reaches nothing outside its messages', async () => {
    const touched = vi.fn();
    for (const name of ['fetch', 'eval', 'XMLHttpRequest', 'WebSocket', 'importScripts', 'postMessage']) vi.stubGlobal(name, touched);
    const attempts = [
      "{{ ''.constructor.constructor('return fetch(1)')() }}",
      "{{ messages.constructor.constructor('postMessage(1)')() }}",
      "{{ range.constructor('fetch(1)')() }}",
      "{{ raise_exception.__proto__.constructor('fetch(1)')() }}",
      "{{ strftime_now['constructor']('fetch(1)')() }}",
      "{{ namespace(a=1).__proto__.constructor('fetch(1)')() }}",
      "{{ fetch('https://example.org') }}",
      '{{ globalThis.fetch(1) }}',
      "{{ eval('1') }}{{ self.fetch(1) }}",
      '{{ messages[0].__class__.__mro__[1].__subclasses__() }}',
      "{% include 'https://example.org/x' %}",
      "{% import 'os' as os %}{{ os.system('true') }}",
      "{{ messages | map(attribute='constructor.constructor') | list }}",
      "{{ {}.__proto__.__defineGetter__('x', 1) }}",
    ];
    for (const attempt of attempts) {
      const outcome = await renderChat(attempt, ask).catch((thrown: unknown) => thrown);
      if (typeof outcome === 'string') expect(outcome, attempt).not.toMatch(/function|native code|object Object/);
      else expect(outcome, attempt).toMatchObject({ name: 'LabError' });
    }
    expect(touched).not.toHaveBeenCalled();
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
  });
  it('cannot change what it was given, nor fill the memory with one range', async () => {
    const messages = structuredClone(ask);
    await renderChat('{% set messages = 1 %}{% set tools = 2 %}{{ messages }}', messages);
    expect(messages).toEqual(ask);
    expect((await refusal(() => renderChat('{{ range(1000000000) }}', ask))).code).toBe('chat-template-failed');
    expect((await refusal(() => renderChat('{{ range(1, 2, 0) }}', ask))).code).toBe('chat-template-failed');
    expect((await refusal(() => renderChat('{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', ask))).code).toBe('chat-template-failed');
  });
});

describe('where a template comes from', () => {
  it('its own file, then tokenizer_config: a text, the list’s default, else its first', () => {
    const of = (chat_template: unknown): string | undefined => chatTemplateOf({ tokenizerConfig: { chat_template } });
    expect(chatTemplateOf({ chatTemplate: 'file', tokenizerConfig: { chat_template: 'config' } })).toBe('file');
    expect(of('config')).toBe('config');
    const tools = { name: 'tool_use', template: 'tools' };
    expect(of([tools, { name: 'default', template: 'plain' }])).toBe('plain');
    expect(of([tools])).toBe('tools');
    for (const none of [undefined, null, 5, [], ['x'], [{ name: 'default' }]]) expect(of(none)).toBeUndefined();
  });
  it('knows the special tokens by name, written either way', () => {
    expect(
      namedTokens({ bos_token: null, eos_token: { content: '</s>' }, pad_token: '<pad>', add_bos_token: true, model_max_length: 3 }),
    ).toEqual({ eos_token: '</s>', pad_token: '<pad>' });
  });
});

describe('strftime_now', () => {
  it('writes dates in English, as Python does', async () => {
    expect(strftime(new Date(2024, 2, 5, 15, 7, 9), '%d %b %Y, %A %B %H:%M:%S %I %p %y %% %Q')).toBe(
      '05 Mar 2024, Tuesday March 15:07:09 03 PM 24 % %Q',
    );
    expect(await renderChat("{{ strftime_now('%Y') }}", ask)).toBe(String(new Date().getFullYear()));
  });
});
