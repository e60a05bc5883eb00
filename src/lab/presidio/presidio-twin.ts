/**
 * A strict twin of Microsoft Presidio Analyzer's REST API. In place of a model it knows names from a list, and finds them
 * by code points, as Python counts. What it lacks is a loud 501 that names the field. See FIDELITY.md.
 */
import { startTwinServer, type FaultControls, type TwinCall, type TwinReply } from '../twin-http.ts';

export interface KnownName {
  readonly text: string;
  readonly entity_type: string;
  /** The score of a spaCy model unless told. */
  readonly score?: number;
}

export interface PresidioTwinOptions {
  readonly names: readonly KnownName[];
  readonly languages?: readonly string[];
  /** A release before 2.2.361: a list of texts is an error. */
  readonly before_lists?: boolean;
}

/** One request as the twin saw it; `texts` of an analysis. */
export interface PresidioRequest {
  readonly method: string;
  readonly path: string;
  readonly texts: readonly string[];
  readonly status: number;
}

export interface PresidioTwin {
  readonly url: string;
  readonly faults: FaultControls;
  /** Requests, oldest first; `status` 0: cut by a fault. */
  requests(): readonly PresidioRequest[];
  close(): Promise<void>;
}

interface Body {
  readonly text?: unknown;
  readonly language?: unknown;
  readonly entities?: unknown;
  readonly score_threshold?: unknown;
}

const SCORE = 0.85;
const SERVED = ['text', 'language', 'entities', 'score_threshold', 'correlation_id'];
/** Fields of the real request that would change the answer. */
const NOT_SERVED = [
  'return_decision_process',
  'ad_hoc_recognizers',
  'context',
  'allow_list',
  'allow_list_match',
  'regex_flags',
  'merge_adjacent_entities',
];
/** What the default registry supports beside the names of the list. */
const ENTITIES = ['DATE_TIME', 'EMAIL_ADDRESS', 'LOCATION', 'NRP', 'ORGANIZATION', 'PERSON', 'PHONE_NUMBER'];

export async function startPresidioTwin(options: PresidioTwinOptions): Promise<PresidioTwin> {
  const log: PresidioRequest[] = [];
  const server = await startTwinServer({
    handle: (call) => answer(call, options),
    ended: ({ method, path, body }, status) => log.push({ method, path, texts: textsIn(body), status }),
    fault_body: (status) => JSON.stringify({ error: `fault ${status}` }),
  });
  return { ...server, requests: () => [...log] };
}

function answer(call: TwinCall, options: PresidioTwinOptions): TwinReply {
  const { method, path } = call;
  const methods: Readonly<Record<string, string>> = {
    '/health': 'GET',
    '/supportedentities': 'GET',
    '/analyze': 'POST',
  };
  if (path === '/recognizers') return failed(501, 'presidio twin: /recognizers is outside of its subset');
  if (methods[path] === undefined) return failed(404, 'The requested URL was not found on the server.');
  if (methods[path] !== method) return failed(405, 'The method is not allowed for the requested URL.');
  if (path === '/health')
    return {
      status: 200,
      headers: { 'Content-Type': 'text/html; charset=utf-8' },
      body: 'Presidio Analyzer service is up',
    };
  return path === '/analyze' ? analyze(call, options) : supported(call.query.get('language'), options);
}

function supported(language: string | null, options: PresidioTwinOptions): TwinReply {
  if (language !== null && !languagesOf(options).includes(language)) return failed(500, NO_RECOGNIZERS);
  const own = options.names.map(({ entity_type }) => entity_type);
  return ok([...new Set([...ENTITIES, ...own])]);
}

const NO_RECOGNIZERS = 'No matching recognizers were found to serve the request.';

function analyze(call: TwinCall, options: PresidioTwinOptions): TwinReply {
  if (!/^application\/json\b/.test(call.headers['content-type'] ?? ''))
    return failed(
      415,
      "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
    );
  const parsed = bodyOf(call.body);
  if (parsed === null)
    return failed(400, 'The browser (or proxy) sent a request that this server could not understand.');
  for (const field of Object.keys(parsed)) {
    if (NOT_SERVED.includes(field)) return failed(501, `presidio twin: ${field} is outside of its subset`);
    if (!SERVED.includes(field)) return failed(501, `presidio twin: ${field} is no field of Presidio`);
  }
  const { text, language, entities, score_threshold } = parsed;
  if (text === undefined || text === '' || (Array.isArray(text) && text.length === 0))
    return failed(500, 'No text provided');
  if (language === undefined || language === '') return failed(500, 'No language provided');
  if (typeof language !== 'string' || !languagesOf(options).includes(language))
    return failed(500, NO_RECOGNIZERS);
  const texts: readonly unknown[] = Array.isArray(text) ? text : [text];
  if (texts.some((one) => typeof one !== 'string' || /\p{Surrogate}/u.test(one)))
    return failed(500, '[E1041] Expected a string, Doc, or bytes as input');
  if (Array.isArray(text) && options.before_lists === true)
    return failed(500, "[E1041] Expected a string, Doc, or bytes as input, but got: <class 'list'>");
  const wanted = Array.isArray(entities) ? entities.map(String) : null;
  if (wanted !== null && !wanted.some((entity) => isSupported(entity, options)))
    return failed(500, NO_RECOGNIZERS);
  const threshold = typeof score_threshold === 'number' ? score_threshold : 0;
  const lists = texts.map((one) => findingsOf(String(one), options.names, wanted, threshold));
  return ok(Array.isArray(text) ? lists : lists[0]);
}

function isSupported(entity: string, options: PresidioTwinOptions): boolean {
  return ENTITIES.includes(entity) || options.names.some(({ entity_type }) => entity_type === entity);
}

function findingsOf(
  text: string,
  names: readonly KnownName[],
  wanted: readonly string[] | null,
  threshold: number,
): object[] {
  return names
    .filter(({ entity_type, score = SCORE }) => score >= threshold && (wanted?.includes(entity_type) ?? true))
    .flatMap(({ text: name, entity_type, score = SCORE }) =>
      placesOf(text, name).map((at) => {
        const start = pointsIn(text.slice(0, at));
        return { analysis_explanation: null, end: start + pointsIn(name), entity_type, score, start };
      }),
    );
}

/** Places where a name stands as words of its own. */
function placesOf(text: string, name: string): number[] {
  const places: number[] = [];
  const isWord = (char: string | undefined): boolean => char !== undefined && /[\p{L}\p{N}_]/u.test(char);
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + name.length))
    if (!isWord(text[at - 1]) && !isWord(text[at + name.length])) places.push(at);
  return places;
}

/** The length as Python counts it. */
function pointsIn(text: string): number {
  return Array.from(text).length;
}

function languagesOf({ languages = ['en'] }: PresidioTwinOptions): readonly string[] {
  return languages;
}

function bodyOf(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function textsIn(body: string): readonly string[] {
  const { text } = bodyOf(body) ?? {};
  return (Array.isArray(text) ? text : [text]).filter((one) => typeof one === 'string');
}

function ok(value: unknown): TwinReply {
  return { status: 200, body: JSON.stringify(value) };
}

function failed(status: number, error: string): TwinReply {
  return { status, body: JSON.stringify({ error }) };
}
