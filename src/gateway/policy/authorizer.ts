import { setFlagsFromString } from 'node:v8';
import type { EntityJson, StatefulAuthorizationCall } from '@cedar-policy/cedar-wasm/nodejs';
import { ACTION_CLASSES, type ActionClass, type Phase, type Target } from '../../contract/tool.ts';
import type { Autonomy } from '../../contract/incident.ts';

/** One question to the policies. Everything in it was established by the pipeline, nothing is taken from arguments. */
export interface AuthorizationRequest {
  readonly principal: {
    readonly id: string;
    readonly tenant: string;
    readonly token_class: ActionClass;
    readonly has_incident: boolean;
  };
  readonly target: Target & { readonly uri: string; readonly tenants: readonly string[] };
  readonly call:
    | ({ readonly action: 'read' } & CallFacts)
    | ({ readonly action: 'preview'; readonly dry_run: string } & CallFacts)
    | ({ readonly action: 'execute' } & CallFacts & ExecuteFacts);
}

interface CallFacts {
  readonly tool: string;
  readonly action_class: ActionClass;
  readonly env: string;
  readonly tier: string;
}

interface ExecuteFacts {
  readonly phase: Phase;
  readonly autonomy: Autonomy;
  readonly freeze: boolean;
  readonly permit_valid: boolean;
  readonly approvals: number;
  readonly people_required: number;
  /** Nobody was asked, and the bounds of `limited` allow it. */
  readonly unattended: boolean;
  readonly denied: boolean;
}

interface AuthorizationAnswer {
  readonly allow: boolean;
  /** Ids of the policies that decided; empty when no rule allowed it. */
  readonly reasons: readonly string[];
  /** Evaluation errors: any of them is a deny, because an erroring `forbid` is skipped by Cedar. */
  readonly errors: readonly string[];
}

export interface Authorizer {
  decide(request: AuthorizationRequest): AuthorizationAnswer;
}

export type AuthorizerLoad =
  | { readonly ok: true; readonly authorizer: Authorizer; readonly policy_ids: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * One question of each kind, as the gateway puts it. A schema that does not know what is asked would refuse every write,
 * at the worst moment: behind the approvals.
 */
const ASKED = { tool: 'k8s.get', action_class: 'read', env: 'e', tier: 'tier3' } as const;
const QUESTIONS: readonly AuthorizationRequest[] = [
  { ...ASKED, action: 'read' as const },
  { ...ASKED, action: 'preview' as const, dry_run: 'server' },
  {
    ...ASKED,
    action: 'execute' as const,
    phase: 'apply' as const,
    autonomy: 'approve' as const,
    freeze: false,
    permit_valid: false,
    approvals: 0,
    people_required: 1,
    unattended: false,
    denied: false,
  },
].map((call) => ({
  principal: { id: 'aegis', tenant: 't/e', token_class: 'read' as const, has_incident: false },
  target: {
    system: 'k8s',
    cluster: 'c',
    namespace: 'n',
    kind: 'pod',
    name: 'p',
    uri: 'mcp://k8s/c/n/pod/p',
    tenants: ['t/e'],
  },
  call,
}));

/** Sets that are in the engine, by name. Some: an operator goes back and forth between a few. */
const in_engine = new Map<string, AuthorizerLoad & { readonly ok: true }>();
const IN_ENGINE_MAX = 20;

/**
 * Parses and validates policies strictly against the schema. `set_name` must differ for different contents: parsed
 * sets live in the engine under their name, and one that is there already is not validated again.
 */
export async function loadAuthorizer(
  set_name: string,
  schema: string,
  files: readonly { readonly name: string; readonly text: string }[],
): Promise<AuthorizerLoad> {
  const known = in_engine.get(set_name);
  if (known !== undefined) return known;
  const loaded = await validated(set_name, schema, files);
  if (!loaded.ok) return loaded;
  if (in_engine.size >= IN_ENGINE_MAX) in_engine.clear();
  in_engine.set(set_name, loaded);
  return loaded;
}

async function validated(
  set_name: string,
  schema: string,
  files: readonly { readonly name: string; readonly text: string }[],
): Promise<AuthorizerLoad> {
  keepWasmCallsApart();
  const cedar = await import('@cedar-policy/cedar-wasm/nodejs');
  const problems: string[] = [];
  const policies = splitPolicies(files, problems);
  if (problems.length > 0) return { ok: false, problems };
  const validation = cedar.validate({ schema, policies: { staticPolicies: policies } });
  if (validation.type === 'failure')
    return { ok: false, problems: validation.errors.map((error) => error.message) };
  if (validation.validationErrors.length > 0)
    return {
      ok: false,
      problems: validation.validationErrors.map((e) => `${e.policyId}: ${e.error.message}`),
    };
  const parsed = [
    cedar.preparseSchema(set_name, schema),
    cedar.preparsePolicySet(set_name, { staticPolicies: policies }),
  ];
  for (const answer of parsed)
    if (answer.type === 'failure') problems.push(...answer.errors.map((e) => e.message));
  if (problems.length > 0) return { ok: false, problems };
  for (const question of QUESTIONS) {
    const answer = cedar.statefulIsAuthorized(cedarCall(set_name, question));
    if (answer.type === 'failure')
      problems.push(
        `schema.cedarschema: the gateway's question about "${question.call.action}" does not fit it: ${answer.errors.map((e) => e.message).join('; ')}; take the declaration over from the schema that Aegis brings along`,
      );
  }
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    policy_ids: Object.keys(policies).sort(),
    authorizer: remembering((request) => decide(cedar.statefulIsAuthorized, set_name, request)),
  };
}

/**
 * V8 11 (Node 20) inlines calls of WebAssembly into optimised code and ends the whole process ("unreachable code" in its
 * deoptimiser) when that code is thrown away while the engine runs. Seen here in 3 of 9 runs of the gateway bench, never
 * without inlining. The flag only concerns code that is compiled from now on.
 */
function keepWasmCallsApart(): void {
  if (process.versions.v8.startsWith('11.')) setFlagsFromString('--no-turbo-inline-js-wasm-calls');
}

/** Answers kept of one policy set. */
const REMEMBERED_MAX = 2000;

/**
 * An answer follows from the question and the set alone, and an investigation reads the same things again and again: a
 * read that was asked before is not evaluated anew. What would change the world always is.
 */
function remembering(decide: Authorizer['decide']): Authorizer {
  const known = new Map<string, AuthorizationAnswer>();
  return {
    decide(request) {
      if (request.call.action !== 'read') return decide(request);
      const question = JSON.stringify(request);
      let answer = known.get(question);
      if (answer === undefined) {
        answer = decide(request);
        if (known.size >= REMEMBERED_MAX) known.clear();
        known.set(question, answer);
      }
      return answer;
    },
  };
}

/**
 * Policies by their @id, which begins each of them at the start of a line. The engine then refuses a text that holds
 * more than one, so a policy without a name cannot hide behind another.
 */
function splitPolicies(
  files: readonly { readonly name: string; readonly text: string }[],
  problems: string[],
): Record<string, string> {
  const policies: Record<string, string> = {};
  for (const { name, text } of files) {
    const [head, ...parts] = `\n${text}`.split(/^(?=@id\()/m);
    const unnamed = (head ?? '').replaceAll(/\/\/.*$/gm, '').trim();
    if (unnamed !== '') problems.push(`${name}: a policy does not begin with @id("...")`);
    for (const part of parts) {
      const id = /^@id\("([a-z0-9-]{1,64})"\)/.exec(part)?.[1];
      if (id === undefined) problems.push(`${name}: write the name as @id("lower-case-words")`);
      else if (Object.hasOwn(policies, id)) problems.push(`${name}: the id "${id}" is used twice`);
      else policies[id] = part;
    }
  }
  return policies;
}

function decide(
  ask: typeof import('@cedar-policy/cedar-wasm/nodejs').statefulIsAuthorized,
  set_name: string,
  request: AuthorizationRequest,
): AuthorizationAnswer {
  const answer = ask(cedarCall(set_name, request));
  if (answer.type === 'failure')
    return { allow: false, reasons: [], errors: answer.errors.map((e) => e.message) };
  const { decision, diagnostics } = answer.response;
  const errors = diagnostics.errors.map((e) => `${e.policyId}: ${e.error.message}`);
  return {
    allow: decision === 'allow' && errors.length === 0,
    reasons: [...diagnostics.reason].sort(),
    errors,
  };
}

function cedarCall(set_name: string, request: AuthorizationRequest): StatefulAuthorizationCall {
  const { principal, target, call } = request;
  const { action, ...facts } = call;
  const agent = { type: 'Aegis::Agent', id: principal.id };
  const resource = { type: 'Aegis::Target', id: target.uri };
  const tenants = new Set([principal.tenant, ...target.tenants]);
  const entities: EntityJson[] = [
    ...[...tenants].map((id) => ({ uid: tenant(id), attrs: {}, parents: [] })),
    {
      uid: agent,
      attrs: {
        tenant: { __entity: tenant(principal.tenant) },
        token_class: ACTION_CLASSES.indexOf(principal.token_class) + 1,
        has_incident: principal.has_incident,
      },
      parents: [],
    },
    {
      uid: resource,
      attrs: {
        system: target.system,
        cluster: target.cluster,
        namespace: target.namespace,
        kind: target.kind,
      },
      parents: target.tenants.map(tenant),
    },
  ];
  return {
    principal: agent,
    action: { type: 'Aegis::Action', id: action },
    resource,
    context: { ...facts },
    preparsedSchemaName: set_name,
    validateRequest: true,
    preparsedPolicySetId: set_name,
    entities,
  };
}

function tenant(id: string): { type: string; id: string } {
  return { type: 'Aegis::Tenant', id };
}
