import type { Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import { wordsWithoutNames } from '../recogniser/recogniser.ts';
import { sanitizeText } from '../sanitize/sanitize.ts';
import type { UpstreamErrorInfo } from '../upstream-error.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { scrubOf } from './upstream-call.ts';
import { upstreamRefusal } from './upstream-refusal.ts';

/** Characters of an upstream's own words that are shown; the cut comes after redaction. */
const MESSAGE_CHARS_MAX = 500;

/** An upstream's words by the rules alone: what a write says must reach the journal, whatever service is away. */
export function cleanRefusal(error: UpstreamErrorInfo, admission: Admission, lease: Lease): Refusal {
  return refusalWith(error, admission, byRules(error, admission, lease));
}

/** The same without names of people. When those cannot be found the words are withheld; what happened is still said. */
export async function namelessRefusal(
  core: GatewayCore,
  error: UpstreamErrorInfo,
  admission: Admission,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<Refusal> {
  const text = byRules(error, admission, lease);
  const nameless = await wordsWithoutNames(core.recogniser, admission.policy.redaction, text, signal);
  return refusalWith(error, admission, nameless);
}

/** Errors leak as well as results do. */
function byRules({ message }: UpstreamErrorInfo, { policy, entry }: Admission, lease: Lease): string {
  return sanitizeText(message, policy.redaction, scrubOf(lease, entry.external?.secrets)).text;
}

function refusalWith(error: UpstreamErrorInfo, { route }: Admission, text: string): Refusal {
  return upstreamRefusal(route.uri, { ...error, message: text.slice(0, MESSAGE_CHARS_MAX) });
}
