import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { UpstreamErrorInfo, UpstreamProblem } from '../upstream-error.ts';

/** `upstream-*` means "not now"; every other code means "not so": asking again changes nothing. */
const CODES: Readonly<Record<UpstreamProblem, { readonly code: string; readonly remedy: string }>> = {
  unreachable: {
    code: 'upstream-unreachable',
    remedy: 'Check that it is up and that its address in aegis.yaml is right.',
  },
  dropped: { code: 'upstream-dropped', remedy: 'Ask again.' },
  timeout: {
    code: 'upstream-timeout',
    remedy: 'Ask again, or ask for less: a shorter window, a smaller limit.',
  },
  failed: { code: 'upstream-failed', remedy: 'Ask again; if it stays, look at that system itself.' },
  malformed: {
    code: 'upstream-malformed',
    remedy: 'Check that the address in aegis.yaml leads to this kind of system.',
  },
  throttled: { code: 'upstream-throttled', remedy: 'Ask again in a moment.' },
  held: {
    code: 'upstream-held',
    remedy: 'Wait until the budget allows it again, or let its owner change it; it is never forced.',
  },
  redirect: {
    code: 'upstream-redirect',
    remedy: 'Put the final address into aegis.yaml; redirects are never followed.',
  },
  aborted: { code: 'call-aborted', remedy: 'Ask again if the answer is still wanted.' },
  unauthorized: {
    code: 'credential-refused',
    remedy: 'The credential no longer works there; Aegis asks for a new one next time.',
  },
  forbidden: {
    code: 'source-forbidden',
    remedy: 'The role behind the credential lacks this right; `aegis doctor` names the role.',
  },
  'not-found': { code: 'object-not-found', remedy: 'Check the name; the object may be gone.' },
  conflict: { code: 'source-conflict', remedy: 'Read the object again and plan anew.' },
  invalid: { code: 'source-rejected', remedy: 'Correct the request; the words are the system’s own.' },
  'too-large': {
    code: 'result-too-large',
    remedy: 'Ask for less: a selector, a shorter window, a smaller limit.',
  },
  blocked: { code: 'request-blocked', remedy: 'Ask for something that the target covers.' },
};

export function upstreamRefusal(upstream: string, error: UpstreamErrorInfo): Refusal {
  const { code, remedy } = CODES[error.problem];
  return refuse(code, `${upstream}: ${error.message}.`, remedy);
}
