import { z } from 'zod';
import { parseJsonText } from '../../contract/parse.ts';
import type { RecogniserService } from '../../contract/settings.ts';
import type { Egress, EgressResponse } from '../egress.ts';
import type { RecogniserRules } from '../sanitize/rules.ts';
import { UpstreamError, type UpstreamErrorInfo } from '../upstream-error.ts';
import type { Finding } from './spans.ts';

/**
 * The REST API of Microsoft Presidio Analyzer. Lists of texts are understood since its release 2.2.361; an older one
 * answers them with 500. Nothing that the service says in words is repeated: its errors may quote the text.
 */
export interface Question {
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
}

/** Findings are small: a hundred bytes each. A text full of names gives one for each word. */
const ANSWER_BYTES_MAX = 8_388_608;
const ANSWER_LIMITS = { bytes_max: ANSWER_BYTES_MAX, depth_max: 10, keys_max: 1_000_000 };
/** Half of a surrogate pair: Python could not encode it. A replacement of the same length keeps every offset. */
const LONE_SURROGATES = /\p{Surrogate}/gu;

const Answer = z.array(
  z.array(
    z.object({
      start: z.int().min(0),
      end: z.int().min(1),
      entity_type: z.string().min(1).max(100),
      score: z.number().min(0).max(1),
    }),
  ),
);
const EntityTypes = z.array(z.string().max(100)).max(1000);

export class Presidio {
  readonly #service: RecogniserService;
  readonly #egress: Egress;

  constructor(service: RecogniserService, egress: Egress) {
    this.#service = service;
    this.#egress = egress;
  }

  /** @throws UpstreamError when it is not well. */
  async health(question: Question): Promise<void> {
    await this.#ask('GET', '/health', {}, null, question);
  }

  /** Entity types that it can find in a language. @throws UpstreamError */
  async supportedEntities(language: string, question: Question): Promise<readonly string[]> {
    const answer = await this.#ask('GET', '/supportedentities', { language }, null, question);
    return parsed(answer.text, EntityTypes, 'a list of entity types');
  }

  /** One list of findings for each text, in their order. @throws UpstreamError */
  async analyze(
    texts: readonly string[],
    rules: RecogniserRules,
    question: Question,
  ): Promise<readonly (readonly Finding[])[]> {
    const body = JSON.stringify({
      text: texts.map((text) => text.replaceAll(LONE_SURROGATES, '\ufffd')),
      language: rules.language,
      entities: [...rules.marks.keys()],
      score_threshold: rules.score_min,
    });
    const answer = await this.#ask('POST', '/analyze', {}, body, question);
    const lists = parsed(answer.text, Answer, 'a list of findings for each text');
    if (lists.length !== texts.length)
      throw malformed(`answered ${lists.length} lists of findings for ${texts.length} texts`);
    return lists;
  }

  async #ask(
    method: string,
    path: string,
    query: Readonly<Record<string, string>>,
    body: string | null,
    { timeout_ms, signal }: Question,
  ): Promise<EgressResponse> {
    const { url, ca_file } = this.#service;
    const headers = {
      accept: 'application/json',
      ...(body === null ? {} : { 'content-type': 'application/json' }),
    };
    const request = { method, path, query, headers, body, timeout_ms, bytes_max: ANSWER_BYTES_MAX, signal };
    const answer = await this.#egress.request({ url, ca_file }, request);
    if (answer.status !== 200)
      throw failure('failed', answer.status, `answered ${answer.status} to ${method} ${path}`);
    return answer;
  }
}

function parsed<T>(text: string, schema: z.ZodType<T>, what: string): T {
  const json = parseJsonText(text, ANSWER_LIMITS);
  const checked = json.ok ? schema.safeParse(json.value) : null;
  if (checked?.success !== true) throw malformed(`answered something that is not ${what}`);
  return checked.data;
}

export function malformed(message: string): UpstreamError {
  return failure('malformed', null, message);
}

function failure(
  problem: UpstreamErrorInfo['problem'],
  status: number | null,
  message: string,
): UpstreamError {
  return new UpstreamError({ problem, sent: 'answered', status, message });
}
