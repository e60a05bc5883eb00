import { z } from 'zod';
import { Autonomy } from '../contract/incident.ts';
import { ActionClass, formatTarget, parseTarget, Phase, TargetUri } from '../contract/tool.ts';
import type { Target } from '../contract/tool.ts';
import type { AuthorizationRequest } from '../gateway/policy/authorizer.ts';
import type { CompiledRules } from '../gateway/sanitize/rules.ts';
import { sanitizeText } from '../gateway/sanitize/sanitize.ts';

/** Requests to the policies as people write them: in `policies/tests/*.yaml` and for `aegis policy explain`. */
const Tenant = z.string().regex(/^[^/\s]+\/[^/\s]+$/, 'write team/env');

const Principal = z.strictObject({
  id: z.string().min(1).max(200),
  tenant: Tenant,
  token_class: ActionClass,
  has_incident: z.boolean(),
});

const CALL = { tool: z.string(), action_class: ActionClass, env: z.string(), tier: z.string() };
const Call = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('read'), ...CALL }),
  z.strictObject({ action: z.literal('preview'), ...CALL, dry_run: z.string() }),
  z.strictObject({
    action: z.literal('execute'),
    ...CALL,
    phase: Phase,
    autonomy: Autonomy,
    freeze: z.boolean(),
    permit_valid: z.boolean(),
    approvals: z.int().min(0),
    people_required: z.int().min(0),
    unattended: z.boolean().default(false),
    denied: z.boolean(),
  }),
]);

/** Without `tenants` the owners of the target are those that aegis.yaml gives it. */
const ExplainRequest = z.strictObject({
  principal: Principal,
  target: z.strictObject({ uri: TargetUri, tenants: z.array(Tenant).max(100).optional() }),
  call: Call,
});

const RowRequest = z.strictObject({
  principal: Principal,
  target: z.strictObject({
    system: z.string(),
    cluster: z.string(),
    namespace: z.string(),
    kind: z.string(),
    name: z.string(),
    tenants: z.array(Tenant).max(100),
  }),
  call: Call,
});

const Facts = z.record(z.string(), z.unknown());
export const PolicyRows = z.strictObject({
  defaults: z.strictObject({ principal: Facts, target: Facts, read: Facts, preview: Facts, execute: Facts }),
  rows: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        action: z.enum(['read', 'preview', 'execute']),
        principal: Facts.optional(),
        target: Facts.optional(),
        call: Facts.optional(),
        expect: z.enum(['allow', 'deny']),
        /** When given: exactly the rules that decide. */
        reasons: z.array(z.string()).optional(),
      }),
    )
    .min(1)
    .max(10_000),
});
export type PolicyRows = z.infer<typeof PolicyRows>;

/** Texts and what the redaction rules must make of them. */
export const RedactionRows = z.strictObject({
  redaction: z
    .array(
      z.union([
        z.strictObject({ text: z.string().min(1).max(10_000), expect: z.string().max(20_000) }),
        z.strictObject({ text: z.string().min(1).max(10_000), keep: z.literal(true) }),
      ]),
    )
    .min(1)
    .max(10_000),
});
export type RedactionRows = z.infer<typeof RedactionRows>;

/** Null: the rules do with the text what its row says. */
export function redactionProblem(
  rules: CompiledRules,
  row: RedactionRows['redaction'][number],
): string | null {
  const expected = 'keep' in row ? row.text : row.expect;
  const found = sanitizeText(row.text, rules).text;
  return found === expected ? null : `expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`;
}

export type ParsedRequest =
  | { readonly ok: true; readonly request: AuthorizationRequest }
  | { readonly ok: false; readonly problem: string };

/** A request for `explain`; `ownersOf` answers who owns the target when the request does not say it. */
export function explainRequest(
  value: unknown,
  ownersOf: (target: Target, access: 'read' | 'write') => readonly string[],
): ParsedRequest {
  const parsed = ExplainRequest.safeParse(value);
  if (!parsed.success) return { ok: false, problem: problemOf(parsed.error) };
  const { principal, target, call } = parsed.data;
  const parts = parseTarget(target.uri);
  const tenants = target.tenants ?? ownersOf(parts, call.action === 'read' ? 'read' : 'write');
  return { ok: true, request: { principal, target: { ...parts, uri: target.uri, tenants }, call } };
}

/** A row with the defaults of its file. */
export function rowRequest(defaults: PolicyRows['defaults'], row: PolicyRows['rows'][number]): ParsedRequest {
  const parsed = RowRequest.safeParse({
    principal: { id: 'aegis', ...defaults.principal, ...row.principal },
    target: { name: 'x', ...defaults.target, ...row.target },
    call: { action: row.action, ...defaults[row.action], ...row.call },
  });
  if (!parsed.success) return { ok: false, problem: problemOf(parsed.error) };
  const { principal, target, call } = parsed.data;
  return { ok: true, request: { principal, target: { ...target, uri: formatTarget(target) }, call } };
}

function problemOf(error: z.ZodError): string {
  const issue = error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  return `${where}${issue?.message ?? 'not a request'}`;
}
