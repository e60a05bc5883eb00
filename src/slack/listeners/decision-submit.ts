// What both decision dialogs do when they are submitted: identify the person, write the decision down, then close.
import { isRefusal } from '../../contract/verdict.ts';
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
  if (meta === null)
    return words(
      'This dialog is from an older version. Nothing was recorded. Open it again from the newest card in the thread.',
    );
  const account = await tools.accounts.of(submit.user);
  if (isRefusal(account)) return words(refusalWords(account));
  const fields = {
    origin: originOf(account, meta),
    incident_id: meta.inc,
    approval_id: meta.apr,
    revision: meta.rev,
    plan_hash: meta.plan,
  };
  try {
    await tools.intake.person(act(fields), submitKey(submit));
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
