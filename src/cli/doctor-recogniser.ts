import { nearest } from '../config-issue.ts';
import type { RecogniserService, Settings } from '../contract/settings.ts';
import { Egress } from '../gateway/egress.ts';
import { loadPolicySet } from '../gateway/policy/policy-set.ts';
import { Presidio, type Question } from '../gateway/recogniser/presidio.ts';
import { spansOf, withoutSpans } from '../gateway/recogniser/spans.ts';
import type { RecogniserRules } from '../gateway/sanitize/rules.ts';
import { UpstreamError } from '../gateway/upstream-error.ts';
import { systemClock } from '../system-ports.ts';
import type { Check } from './doctor.ts';

/** Nobody's sentence: a person and two places. */
const SENTENCE = 'Maria Ortiz from Lisbon wrote to the help desk in Berlin.';
const PERSON = 'Maria Ortiz';
const check = 'recogniser';

/** The service that takes names out: is it up, does it know what the rules ask for, and does it find a name? */
export async function recogniserChecks(settings: Settings, policies_dir: string): Promise<Check[]> {
  const service = settings.recogniser;
  // Rules that ask for one without an address fail in the check of the policies.
  if (service === undefined) return [];
  const { redaction } = await loadPolicySet(policies_dir, { recogniser: true });
  const egress = new Egress(settings.unsafe_endpoints);
  try {
    return [await examine(service, redaction?.recogniser ?? null, new Presidio(service, egress))];
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const next =
      error.info.status === 500
        ? 'look at its log: lists of texts need Presidio Analyzer 2.2.361 or newer, and the language a model'
        : 'check recogniser.url in aegis.yaml and that the service is up; nothing is read while it is away';
    return [{ check, status: 'failed', detail: `${service.url} ${error.message}`, next }];
  } finally {
    await egress.close();
  }
}

async function examine(
  service: RecogniserService,
  rules: RecogniserRules | null,
  presidio: Presidio,
): Promise<Check> {
  const question: Question = { timeout_ms: service.timeout_ms, signal: undefined };
  await presidio.health(question);
  if (rules === null)
    return {
      check,
      status: 'skipped',
      detail: 'it is up, and policies/redaction.yaml asks it for nothing',
      next: 'add `recogniser` with the entities to take out there, or remove it from aegis.yaml',
    };
  const known = await presidio.supportedEntities(rules.language, question);
  const unknown = [...rules.marks.keys()].find((entity) => !known.includes(entity));
  if (unknown !== undefined) {
    const near = nearest(unknown, known);
    const hint = near === null ? `it knows ${known.join(', ') || 'none'}` : `did you mean "${near}"?`;
    return {
      check,
      status: 'failed',
      detail: `it does not know the entity ${unknown} in the language ${rules.language}; ${hint}`,
      next: 'correct `recogniser.entities` in policies/redaction.yaml; nothing is read until then',
    };
  }
  return prove(rules, presidio, question);
}

/** A sentence with a name in it comes back without it. */
async function prove(rules: RecogniserRules, presidio: Presidio, question: Question): Promise<Check> {
  const started = systemClock.now();
  const [findings = []] = await presidio.analyze([SENTENCE], rules, question);
  const took_ms = systemClock.now() - started;
  const spans = spansOf(SENTENCE, findings, rules);
  const shown = spans === null ? SENTENCE : withoutSpans(SENTENCE, spans);
  const expected = rules.language === 'en' && rules.marks.has('PERSON');
  if (spans === null || (expected && shown.includes(PERSON)))
    return {
      check,
      status: 'failed',
      detail: `it answers, and finds no person in "${SENTENCE}"`,
      next: 'lower recogniser.score_min in policies/redaction.yaml, or give the service a model that knows names',
    };
  const entities = [...rules.marks.keys()].join(', ');
  return {
    check,
    status: 'ok',
    detail: `${rules.model} finds ${entities}: "${shown}" (${took_ms} ms)`,
  };
}
