import type { RecogniserService } from '../../contract/settings.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Egress } from '../egress.ts';
import type { Throttle } from '../pipeline/throttle.ts';
import type { CompiledRules, RecogniserRules } from '../sanitize/rules.ts';
import type { Sanitized } from '../sanitize/sanitize.ts';
import { meansIllness, UpstreamError, type UpstreamErrorInfo } from '../upstream-error.ts';
import { FoundCache } from './found-cache.ts';
import { malformed, Presidio, type Question } from './presidio.ts';
import { spansOf, type NameSpan } from './spans.ts';
import { textsOf, withoutFound } from './texts.ts';

/**
 * Takes names out of what the rules left, by asking a service that recognises entities. It sees no secret that the rules
 * know, and each text alone. What it cannot be asked about is not shown: every failure is a refusal.
 */
export interface RecogniserDeps {
  readonly service: RecogniserService;
  readonly egress: Egress;
  readonly throttle: Pick<Throttle, 'pass'>;
}

/** Requests of one call at a time; the throttle bounds those of all calls together. */
const PARALLEL_MAX = 4;
/** The service belongs to no tenant: its breaker and its queue are everybody's. */
const PLACE = { upstream: 'recogniser', team: 'SYSTEM', env: 'SYSTEM', lane: 'read' } as const;
const WITHHELD = '[WITHHELD: the recogniser could not be asked]';

/** What bounds all requests of one call together. */
interface Within {
  readonly signal: AbortSignal | undefined;
  readonly ends_at_ms: number;
}

type Answered<T> = { readonly value: T } | { readonly error: UpstreamErrorInfo } | { readonly late: true };

type Found = Map<string, readonly NameSpan[]>;

export class Recogniser {
  readonly #service: RecogniserService;
  readonly #presidio: Presidio;
  readonly #throttle: RecogniserDeps['throttle'];
  readonly #cache = new FoundCache();
  /** Rules whose entities the service has confirmed to know: it would pass over a word that it does not. */
  readonly #confirmed = new Set<string>();

  constructor({ service, egress, throttle }: RecogniserDeps) {
    this.#service = service;
    this.#presidio = new Presidio(service, egress);
    this.#throttle = throttle;
  }

  /** The value without the names found in it. */
  async clean(
    value: unknown,
    rules: RecogniserRules,
    signal: AbortSignal | undefined,
  ): Promise<Sanitized | Refusal> {
    const found: Found = new Map();
    const missing: string[] = [];
    for (const text of textsOf(value)) {
      const spans = this.#cache.get(rules.hash, text);
      if (spans === undefined) missing.push(text);
      else found.set(text, spans);
    }
    if (missing.length > 0) {
      const failed = await this.#find(missing, rules, signal, found);
      if (failed !== null) return failed;
    }
    return withoutFound(value, found);
  }

  async #find(
    texts: readonly string[],
    rules: RecogniserRules,
    signal: AbortSignal | undefined,
    found: Found,
  ): Promise<Refusal | null> {
    const batches = batchesOf(texts, this.#service);
    if (isRefusal(batches)) return batches;
    const ends_at_ms = performance.now() + this.#service.call_timeout_ms;
    const within: Within = { signal, ends_at_ms };
    const unknown = await this.#confirm(rules, within);
    if (unknown !== null) return unknown;
    let failed: Refusal | null = null;
    const queue = batches[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const batch of queue) {
        if (failed !== null) return;
        const refusal = await this.#analyze(batch, rules, within, found);
        if (refusal !== null) failed = refusal;
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL_MAX, batches.length) }, worker));
    return failed;
  }

  async #analyze(
    texts: readonly string[],
    rules: RecogniserRules,
    within: Within,
    found: Found,
  ): Promise<Refusal | null> {
    const answer = await this.#ask(within, async (question) => {
      const lists = await this.#presidio.analyze(texts, rules, question);
      return texts.map((text, index) => {
        const spans = spansOf(text, lists[index] ?? [], rules);
        if (spans === null) throw malformed('named a place that lies outside of the text');
        return spans;
      });
    });
    if (isRefusal(answer)) return answer;
    texts.forEach((text, index) => {
      const spans = answer[index] ?? [];
      found.set(text, spans);
      this.#cache.put(rules.hash, text, spans);
    });
    return null;
  }

  async #confirm(rules: RecogniserRules, within: Within): Promise<Refusal | null> {
    if (this.#confirmed.has(rules.hash)) return null;
    const known = await this.#ask(within, (question) =>
      this.#presidio.supportedEntities(rules.language, question),
    );
    if (isRefusal(known)) return known;
    const unknown = [...rules.marks.keys()].filter((entity) => !known.includes(entity));
    if (unknown.length > 0)
      return unavailable(
        `does not know ${unknown.join(', ')} in the language ${rules.language}`,
        'Correct `recogniser.entities` in policies/redaction.yaml; `aegis doctor` names what the service knows.',
      );
    this.#confirmed.add(rules.hash);
    return null;
  }

  /** Through queue and breaker of the service. That a call asks for more than its time allows is no illness of it. */
  async #ask<T>(
    { signal, ends_at_ms }: Within,
    work: (question: Question) => Promise<T>,
  ): Promise<T | Refusal> {
    const left_ms = (): number => ends_at_ms - performance.now();
    const answer = await this.#throttle.pass<Answered<T>>(PLACE, async () => {
      if (left_ms() <= 0) return { value: { late: true }, ill: false };
      try {
        const timeout_ms = Math.ceil(Math.min(left_ms(), this.#service.timeout_ms));
        return { value: { value: await work({ signal, timeout_ms }) }, ill: false };
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        if (left_ms() <= 0) return { value: { late: true }, ill: false };
        return { value: { error: error.info }, ill: meansIllness(error.info) };
      }
    });
    if (isRefusal(answer)) return unavailable(`is not asked now: ${answer.reason}`, answer.remedy);
    if ('late' in answer)
      return unavailable(
        `did not answer all within ${this.#service.call_timeout_ms} ms`,
        'Ask for less: a selector, a shorter window; or raise recogniser.call_timeout_ms in aegis.yaml.',
      );
    return 'error' in answer ? unavailable(answer.error.message, remedyOf(answer.error)) : answer.value;
  }
}

/**
 * What the rules left, without the names that the recogniser finds in it. When the rules name no entities that is all of
 * it, and nobody is asked.
 */
export async function withoutNames(
  recogniser: Recogniser | null,
  { recogniser: rules }: Pick<CompiledRules, 'recogniser'>,
  clean: Sanitized,
  signal: AbortSignal | undefined,
): Promise<Sanitized | Refusal> {
  if (rules === null) return clean;
  if (recogniser === null)
    return unavailable(
      'has no address: aegis.yaml has no `recogniser` section',
      'Add the section, or remove `recogniser` from policies/redaction.yaml.',
    );
  const shown = await recogniser.clean(clean.value, rules, signal);
  return isRefusal(shown) ? shown : { value: shown.value, redactions: clean.redactions + shown.redactions };
}

/** The same for words that stand in a refusal: its code and its next step count even when the words must be withheld. */
export async function wordsWithoutNames(
  recogniser: Recogniser | null,
  rules: Pick<CompiledRules, 'recogniser'>,
  text: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const shown = await withoutNames(recogniser, rules, { value: text, redactions: 0 }, signal);
  return isRefusal(shown) ? WITHHELD : (shown.value as string);
}

/** Texts in requests of bounded size. A refusal when that takes too many of them, or one text is too long for any. */
function batchesOf(texts: readonly string[], service: RecogniserService): string[][] | Refusal {
  const { texts_per_request_max, request_bytes_max, requests_per_call_max } = service;
  const batches: string[][] = [];
  let bytes = 0;
  for (const text of texts) {
    const size = Buffer.byteLength(text);
    if (size > request_bytes_max)
      return tooMuch(`a text of ${size} bytes`, 'request_bytes_max', request_bytes_max);
    const last = batches.at(-1);
    if (last === undefined || last.length >= texts_per_request_max || bytes + size > request_bytes_max) {
      batches.push([text]);
      bytes = size;
    } else {
      last.push(text);
      bytes += size;
    }
  }
  return batches.length <= requests_per_call_max
    ? batches
    : tooMuch(`${texts.length} texts`, 'requests_per_call_max', requests_per_call_max);
}

function tooMuch(what: string, limit: string, value: number): Refusal {
  return refuse(
    'result-too-large',
    `The result holds ${what}: more than the recogniser is asked about in one call, so it was withheld.`,
    `Ask for less: a selector, a shorter window, a smaller limit; or raise recogniser.${limit} (${value}) in aegis.yaml.`,
  );
}

function unavailable(what: string, remedy: string): Refusal {
  return refuse(
    'redaction-unavailable',
    `The recogniser ${what}, so names could not be taken out and the answer was withheld.`,
    remedy,
  );
}

function remedyOf({ problem, status }: UpstreamErrorInfo): string {
  if (problem === 'aborted') return 'Ask again if the answer is still wanted.';
  if (problem === 'timeout')
    return 'Ask again, or ask for less; `aegis doctor` measures how long the recogniser takes.';
  if (status === 500)
    return 'Look at its log; lists of texts need Presidio Analyzer 2.2.361 or newer, and the language a model.';
  if (problem === 'malformed' || problem === 'too-large')
    return 'Check that recogniser.url in aegis.yaml leads to a Presidio Analyzer, 2.2.361 or newer.';
  return 'Bring it back and ask again; `aegis doctor` asks it.';
}
