import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json } from '../../src/lab/slack/json.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import type { SlackTwin } from '../../src/lab/slack/twin.ts';
import { printThread } from '../../src/lab/thread-printer.ts';
import type { Terminal, ThreadPrinter } from '../../src/lab/thread-printer.ts';
import { startAcme } from './slack/acme.ts';

const CHANNEL = 'C0DATA';
const WIDTH = 60;

function card(...texts: string[]): Json[] {
  return texts.map((text) => ({ type: 'section', text: { type: 'plain_text', text } }));
}

describe('the story in the terminal', () => {
  let twin: SlackTwin;
  let printer: ThreadPrinter;
  let lines: string[];

  function print(terminal: Partial<Terminal> = {}): void {
    printer?.stop();
    printer = printThread(twin, {
      write: (line) => lines.push(line),
      width: WIDTH,
      colours: false,
      ...terminal,
    });
  }
  function post(blocks: Json[], thread_ts?: string): StoredMessage {
    const { bot_user_id } = twin.workspace;
    const stored: StoredMessage = {
      channel: CHANNEL,
      user: bot_user_id,
      bot_id: 'B0AEGIS',
      text: '',
      blocks,
      ts: twin.store.nextTs(),
      revisions: [],
      ...(thread_ts === undefined ? {} : { thread_ts }),
    };
    twin.store.add(stored);
    return stored;
  }
  const edit = (message: StoredMessage, blocks: Json[]) => {
    lines = [];
    twin.store.revise(message, { text: '', blocks }, message.user);
  };

  beforeEach(async () => {
    twin = await startAcme();
    lines = [];
    print();
  });
  afterEach(async () => {
    printer.stop();
    await twin.stop();
  });

  it('prints a card in full when it is posted, and of an edit only the lines that changed', () => {
    const message = post(card('Approval needed · 0 of 2', 'Blast radius low', 'Waiting for two'));
    expect(lines.join('\n')).toContain('Blast radius low');
    edit(message, card('Approval needed · 1 of 2', 'Blast radius low', '✅ Dan'));
    expect(lines.join('\n')).toMatch(/Aegis edits the card:\n\s+Approval needed · 1 of 2\n\s+✅ Dan$/);
  });

  it('is silent about an edit that changes only the foot, the budget or buttons', () => {
    const message = post(card('Triage', 'Budget 1 of 60 calls', 'Step 1 · ledger head 00 · updated now'));
    edit(message, card('Triage', 'Budget 2 of 60 calls', 'Step 2 · ledger head 01 · updated later'));
    expect(lines).toEqual([]);
  });

  it('says that something halted, whatever else changed', () => {
    const message = post(card('✅ Triage → ⏳ Executing', 'Budget 1 of 60 calls'));
    edit(
      message,
      card('⚠️ Halted (conflict)', 'Budget 2 of 60 calls', '⚠️ Halted: the object changed. Next: plan again'),
    );
    expect(lines.join('\n')).toContain('Halted (conflict)');
    expect(lines.join('\n')).toContain('the object changed');
  });

  it('cuts a long message and counts what is left out', () => {
    const items = Array.from({ length: 90 }, (_, n) => `• item ${n}`);
    post(card('Summary', ...items.slice(0, 10), 'Impact', ...items.slice(10)));
    expect(lines.join('\n')).toContain('item 9');
    expect(lines.join('\n')).not.toContain('item 10');
    expect(lines.join('\n')).toContain('… 81 more lines');
  });

  it('shows what only one person sees, and problems, with their names', () => {
    const ephemeral = {
      channel: CHANNEL,
      ts: '1.000001',
      user: 'U0DAN',
      text: 'not you',
      blocks: [],
      from: 'app' as const,
    };
    twin.store.addEphemeral(ephemeral);
    twin.store.trouble('U0MAYA', 'no answer');
    printer.tell('Maya waits');
    expect(lines.join('\n')).toMatch(
      /Aegis to Dan Okafor only: not you\n.*Slack shows Maya Ortiz a problem: no answer/,
    );
    expect(lines.at(-1)).toBe('-- Maya waits');
  });

  it('keeps to the width between words, leaves an unbreakable word whole, and loses nothing', () => {
    const text = `${'word '.repeat(30)}${'x'.repeat(80)} ${'tail '.repeat(5)}end`;
    post(card(text, 'second'));
    expect(lines.filter((line) => line.length > WIDTH).every((line) => line.includes('xxxx'))).toBe(true);
    expect(lines.join(' ').replaceAll(/\s+/g, ' ')).toContain(text);
  });

  it('writes escape codes only when colours are wanted', () => {
    post(card('one', '  - old', '  + new'));
    printer.tell('and');
    expect(lines.join('')).not.toContain('\u001B');
    print({ colours: true });
    post(card('one', '  - old', '  + new'));
    expect(lines.join('')).toContain('\u001B[32m');
  });
});
