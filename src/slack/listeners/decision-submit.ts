// What both decision dialogs do when they are submitted: identify the person, write the decision down, then close.
import { isRefusal, refuse } from '../../contract/verdict.ts';
import type { PersonAct } from '../../harness/intake.ts';
import { refusalWords } from '../answers.ts';
import { DecisionMeta, parseValue } from '../button-values.ts';
import { submitKey } from '../dedup-keys.ts';
import { wordsView } from '../views/modal.ts';
import type { ListenerTools, Submit, SubmitAnswer } from './listener.ts';
import { originOf, type Origin } from './incident-act.ts';

export interface DecisionFields {
  readonly origin: Origin;
  readonly incident_id: string;
  readonly approval_id: string;
  readonly revision: number;
  readonly plan_hash: string;
}

const NOT_OUR_DIALOG = refuse(
  'not-our-dialog',
  'This dialog is not one that this version of Aegis has drawn. Nothing was recorded.',
  'Open it again from the newest card in the thread.',
);

const RECEIVED_BEFORE = refuse(
  'received-before',
  'This very decision was received before; it counts once, and not again after it was withdrawn.',
  'Nothing to do: the card in the thread shows where the plan stands.',
);

/** An answer other than `clear` means that nothing was recorded, and says so. */
export async function submitDecision(
  submit: Submit,
  tools: ListenerTools,
  act: (fields: DecisionFields) => PersonAct,
): Promise<SubmitAnswer> {
  const words = (text: string): SubmitAnswer => ({
    response_action: 'update',
    view: wordsView('Not recorded', tools.redact(text), tools.simulated),
  });
  const meta = parseValue(DecisionMeta, submit.view.private_metadata);
  const account = await tools.accounts.of(submit.user);
  if (isRefusal(account)) return words(refusalWords(account));
  if (meta === null) {
    const origin = originOf(account, { channel: '', thread_ts: null });
    await tools.intake.refused(
      { origin, approval_id: null, about: 'decision', refusal: NOT_OUR_DIALOG, tell: false },
      submitKey(submit),
    );
    return words(refusalWords(NOT_OUR_DIALOG));
  }
  const fields = {
    origin: originOf(account, meta),
    incident_id: meta.inc,
    approval_id: meta.apr,
    revision: meta.rev,
    plan_hash: meta.plan,
  };
  try {
    const { duplicate } = await tools.intake.person(act(fields), submitKey(submit));
    if (duplicate)
      await tools.intake.refused(
        {
          origin: fields.origin,
          approval_id: meta.apr,
          about: 'decision',
          refusal: RECEIVED_BEFORE,
          tell: true,
        },
        submitKey(submit),
      );
  } catch (error) {
    tools.log.error(
      { room: 'slack', approval: meta.apr, error: String(error) },
      'a decision could not be written down',
    );
    return words(
      'Your decision could not be written down, so it does not count and nothing happened. Open the dialog again and repeat it.',
    );
  }
  return { response_action: 'clear' };
}
