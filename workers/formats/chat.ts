/**
 * A conversation as the model was taught to read it: its own chat template, rendered as transformers' apply_chat_template
 * does (same context, same whitespace rules, same way of going on with a last turn). A template is a program out of a
 * download; @huggingface/jinja interprets it, it sees the messages and a few helpers and nothing of the worker around it, and the
 * interpreter is fetched when a chat is first used.
 */
import type { ChatMessage, ChatOptions } from '../api';
import { LabError } from '../errors';
import { isObject, type JsonObject } from './json';
import { strftime } from './strftime';

const DOWNLOAD =
  'Download chat_template.jinja or tokenizer_config.json again, from the same checkpoint, or write the prompt as plain text.';

/** The template among what was kept: its own file first, then tokenizer_config's, one or several by name. */
export function chatTemplateOf(kept: { chatTemplate?: string; tokenizerConfig: JsonObject }): string | undefined {
  return kept.chatTemplate ?? templateIn(kept.tokenizerConfig);
}

/** `chat_template` as tokenizer_config.json and chat_template.json write it: a text, or a list of named ones. */
export function templateIn({ chat_template: given }: JsonObject): string | undefined {
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return undefined;
  const named = given.filter(isObject).filter((each) => typeof each['template'] === 'string');
  const chosen = named.find((each) => each['name'] === 'default') ?? named[0];
  return typeof chosen?.['template'] === 'string' ? chosen['template'] : undefined;
}

/** The special tokens' texts, which templates write by name: bos_token, eos_token and their like. */
export function namedTokens(tokenizerConfig: JsonObject): Record<string, string> {
  const texts = Object.entries(tokenizerConfig).flatMap(([name, value]): [string, string][] => {
    const text = isObject(value) ? value['content'] : value;
    return name.endsWith('_token') && typeof text === 'string' ? [[name, text]] : [];
  });
  return Object.fromEntries(texts);
}

/** Throws chat-messages unless this is a conversation. */
function checked(messages: unknown): ChatMessage[] {
  const list: unknown[] = Array.isArray(messages) ? messages : [];
  const wrong = list.findIndex((each) => !isObject(each) || typeof each['role'] !== 'string' || typeof each['content'] !== 'string');
  if (list.length === 0 || wrong >= 0)
    throw new LabError(
      'chat-messages',
      list.length > 0
        ? `Message ${wrong} is no { role, content } of two texts.`
        : Array.isArray(messages)
          ? 'The conversation holds no message.'
          : 'A conversation is a list of messages.',
      "Give at least one, as in [{ role: 'user', content: 'Hello' }].",
    );
  // What else a message carries is left behind: a template that looks for tool calls or images finds none.
  return list.filter(isObject).map(({ role, content }) => ({ role: String(role), content: String(content) }));
}

/** What a template itself raises, as “roles must alternate”. */
class Refusal extends Error {}

/** Python's limit for a sandboxed range, without which one line of a template fills the memory. */
const LONGEST_RANGE = 100_000;

function range(...given: unknown[]): number[] {
  const [a = 0, b, step = 1] = given.filter((each) => typeof each === 'number');
  const [from, to] = b === undefined ? [0, a] : [a, b];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= LONGEST_RANGE)) throw new Error(`range() asked for more than ${LONGEST_RANGE} numbers`);
  return Array.from({ length }, (_, i) => from + i * step);
}

async function render(template: string, context: Record<string, unknown>): Promise<string> {
  const { Environment, Interpreter, parse, tokenize } = await import('@huggingface/jinja');
  let program;
  try {
    program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  } catch (thrown) {
    throw new LabError('chat-template-garbage', `The model’s chat template does not parse (${reason(thrown)}).`, DOWNLOAD);
  }
  const environment = new Environment();
  const globals = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    strftime_now: (format: unknown) => strftime(new Date(), String(format)),
    raise_exception: (message: unknown) => {
      throw new Refusal(String(message));
    },
    // transformers passes both where there are none: a template may ask whether they are none, or whether they are defined.
    tools: null,
    documents: null,
    ...context,
  };
  try {
    for (const [name, value] of Object.entries(globals)) environment.set(name, value);
    return String(new Interpreter(environment).run(program).value);
  } catch (thrown) {
    if (thrown instanceof Refusal)
      throw new LabError(
        'chat-template-refused',
        `The model’s chat template refuses this conversation: ${thrown.message}`,
        'Change the turns: their order, or the roles that this model knows.',
      );
    throw new LabError('chat-template-failed', `The model’s chat template failed on this conversation (${reason(thrown)}).`, DOWNLOAD);
  }
}

const reason = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** Marks where the last message ends. Its trailing space tells whether the template trims what it is given. */
const END = 'CONTINUE_FINAL_MESSAGE_TAG ';

/**
 * The conversation as text, special tokens spelled out. By default it ends where the assistant is to speak: with the
 * template's generation prompt, or, where the assistant spoke last, right after its words, so that the model goes on with them.
 */
export async function renderChat(
  template: string | undefined,
  messages: unknown,
  { generationPrompt, continueFinal }: ChatOptions = {},
  tokens: Record<string, string> = {},
): Promise<string> {
  const chat = checked(messages);
  if (template === undefined)
    throw new LabError(
      'chat-template-missing',
      'This model has no chat template: it was dropped without one, or was never taught to chat.',
      'Drop it again with its chat_template.jinja or tokenizer_config.json, or write the prompt as plain text.',
    );
  const final = chat.at(-1);
  const assistant = final?.role === 'assistant';
  const onward = continueFinal ?? (assistant && generationPrompt !== true);
  if (onward && generationPrompt)
    throw new LabError(
      'request-invalid',
      'A last message cannot be continued and followed by a new turn at once.',
      'Set generationPrompt or continueFinal, not both.',
    );
  const context = { ...tokens, add_generation_prompt: generationPrompt ?? (!onward && !assistant) };
  if (!onward || !final) return render(template, { ...context, messages: chat });
  const marked = [...chat.slice(0, -1), { ...final, content: final.content + END }];
  const text = await render(template, { ...context, messages: marked });
  const at = text.lastIndexOf(END.trim());
  if (at < 0 || !text.includes(final.content.trim()))
    throw new LabError(
      'chat-continue-failed',
      'The model’s chat template changes or leaves out the last message, so that there is no place to go on from.',
      'End with a user’s message, or set continueFinal to false.',
    );
  return text.startsWith(END, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}
