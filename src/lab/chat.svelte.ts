/**
 * The conversation on the bench, turn by turn. Whether the model in use can read one is not known here: the turns stay as they
 * are while a model without a chat template is on the bench.
 */
import type { ChatMessage } from '../../workers/api';

export interface Turn extends ChatMessage {
  /** Tells turns apart while they are edited; means nothing beyond that. */
  key: number;
}

export const ROLES = ['system', 'user', 'assistant'];

export class ChatStore {
  /** The person wants turns rather than plain text. */
  on = $state(false);
  turns = $state<Turn[]>([]);
  #last = 0;

  messages: ChatMessage[] = $derived(this.turns.map(({ role, content }) => ({ role, content })));

  /** Switched on for the first time, the conversation begins with the prompt as it stands. */
  turnOn(prompt: string): void {
    this.on = true;
    if (this.turns.length === 0) this.add('user', prompt);
  }

  /** Adds a turn of whoever would speak next, unless told. */
  add(role = this.turns.at(-1)?.role === 'user' ? 'assistant' : 'user', content = ''): Turn {
    const turn = { key: ++this.#last, role, content };
    this.turns.push(turn);
    return turn;
  }

  set(key: number, change: Partial<ChatMessage>): void {
    const turn = this.turns.find((each) => each.key === key);
    if (turn) Object.assign(turn, change);
  }

  remove(key: number): void {
    this.turns = this.turns.filter((turn) => turn.key !== key);
  }

  /** What the model said becomes the assistant's turn, or the rest of the one it was given; the next is the user's. */
  keep(said: string): Turn {
    const last = this.turns.at(-1);
    if (last?.role === 'assistant') last.content += said;
    else this.add('assistant', said);
    return this.add('user');
  }
}
