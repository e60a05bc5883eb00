// "Investigate with Aegis" in a message's menu: the message says what was seen, the person who picks it asks.
import { sentence, tell } from '../answers.ts';
import { shortcutKey } from '../dedup-keys.ts';
import { typedText } from '../slack-text.ts';
import { accountOf, originOf } from './incident-act.ts';
import type { ShortcutListener } from './listener.ts';

const TEXT_MAX = 3_000;

export const investigateShortcut: ShortcutListener = {
  kind: 'shortcut',
  callback_id: 'sc_investigate',
  async handle(call, tools, ack) {
    const text = typedText(call.message_text).slice(0, TEXT_MAX);
    const account = text === '' ? null : await accountOf(call, tools);
    if (account !== null)
      await tools.intake.person(
        { act: 'investigate', origin: originOf(account, call.place), text },
        shortcutKey(call),
      );
    await ack();
    if (text === '')
      await tell(
        tools,
        call.user,
        call.place,
        sentence('That message has no text to begin from. Use /aegis investigate <what you see>.', tools),
      );
  },
};
