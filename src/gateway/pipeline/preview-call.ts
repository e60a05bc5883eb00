import { structuredPatch } from 'diff';
import { stringify } from 'yaml';
import { hashOf } from '../../contract/canonical.ts';
import { effectHashOf, Preview, type FieldChange } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import type { DriverPreview } from '../drivers/driver.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import type { PreviewRequest } from '../gateway.ts';
import { withoutNames } from '../recogniser/recogniser.ts';
import type { CompiledRules } from '../sanitize/rules.ts';
import type { ExactScrub } from '../sanitize/exact-scrub.ts';
import { sanitizeValue } from '../sanitize/sanitize.ts';
import { meansIllness } from '../upstream-error.ts';
import { authorize, type Admission } from './admit.ts';
import { auditAfter, auditBefore, beginCall } from './audit.ts';
import { factorProblem } from './classify.ts';
import { namelessRefusal } from './clean-refusal.ts';
import type { GatewayCore } from './core.ts';
import { throughDoor } from './door.ts';
import { restorationRefusal } from './restoration.ts';
import type { Guarded } from './throttle.ts';
import { callUpstream, laneOf, leaseFor, scrubOf } from './upstream-call.ts';

/** The preview door: the server's own dry run, forced by the transport. It works in shadow and under freeze. */
export interface PreviewAnswer {
  readonly call_id: string;
  readonly preview: Preview;
}

const DIFF_CONTEXT_LINES = 3;
const DIFF_LINES_MAX = 5000;

export async function previewCall(
  core: GatewayCore,
  request: PreviewRequest,
  signal?: AbortSignal,
): Promise<PreviewAnswer | Refusal> {
  const about = `preview ${request.change_id} ${request.tool} ${request.target}`;
  const asked = { ...request, args: request.params };
  return throughDoor(core, asked, { mode: 'write', about }, async (admission) => {
    const { dry_run } = admission.entry.tool;
    const denied =
      dry_run === 'none'
        ? refuse(
            'preview-impossible',
            `${request.tool} has no dry run that its server enforces.`,
            'Such a change is made by hand.',
          )
        : authorize(admission, { action: 'preview', dry_run });
    if (denied !== null) return denied;
    return core.throttle.run(laneOf(admission, 'read'), () => audited(core, admission, request, signal));
  });
}

async function audited(
  core: GatewayCore,
  admission: Admission,
  request: PreviewRequest,
  signal: AbortSignal | undefined,
): Promise<Guarded<PreviewAnswer | Refusal>> {
  const facts = beginCall(core, {
    door: 'preview',
    admission,
    why: request.why,
  });
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return { value: unwritten, ill: false };
  // A server lets nobody rehearse what they may not do: the dry run needs the write role.
  const lease = await leaseFor(core, admission, facts.call_id, 'write', signal);
  if (isRefusal(lease)) {
    await auditAfter(core, facts, {
      status: 'refused',
      summary: lease.reason,
      redactions: 0,
      lease: null,
      revoked: false,
    });
    return { value: lease, ill: false };
  }
  const { result, ill, revoked } = await rehearse(core, admission, request, facts.call_id, lease, signal);
  const refused = isRefusal(result);
  await auditAfter(core, facts, {
    status: refused ? 'failed' : 'done',
    summary: refused
      ? result.reason
      : `${result.preview.changes.length} fields, effect ${result.preview.effect_hash}`,
    redactions: refused ? 0 : result.redactions,
    lease,
    revoked,
  });
  return { value: refused ? result : { call_id: facts.call_id, preview: result.preview }, ill };
}

interface Rehearsed {
  readonly result: Presented | Refusal;
  readonly ill: boolean;
  readonly revoked: boolean;
}

async function rehearse(
  core: GatewayCore,
  admission: Admission,
  { change_id }: PreviewRequest,
  call_id: string,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<Rehearsed> {
  const { timeout_ms_max: timeout_ms } = admission.entry.tool;
  let answer: PeerAnswer;
  let revoked = false;
  try {
    answer = await callUpstream(core, admission, call_id, 'preview', lease, {
      mode: 'preview',
      timeout_ms,
      signal,
      precondition: null,
    });
  } finally {
    revoked = await lease.release();
  }
  const result = answer.ok
    ? await presentProven(core, admission, change_id, answer.structured as DriverPreview, {
        scrub: scrubOf(lease),
        signal,
      })
    : await namelessRefusal(core, answer.error, admission, lease, signal);
  return { result, ill: !answer.ok && meansIllness(answer.error), revoked };
}

interface Presented {
  readonly preview: Preview;
  readonly redactions: number;
}

interface ShownWith {
  readonly scrub: ExactScrub | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What a tool restores is shown only when it is what already ran; nobody is asked to approve anything else. */
async function presentProven(
  core: GatewayCore,
  admission: Admission,
  change_id: string,
  found: DriverPreview,
  shown_with: ShownWith,
): Promise<Presented | Refusal> {
  const { object_uid, changes } = found;
  const unproven = await restorationRefusal(core, admission, {
    incident_id: admission.grant.incident_id,
    change_id,
    phase: null,
    context: null,
    precondition: { object_uid, changes },
    restoration: found.restoration ?? null,
  });
  return unproven ?? present(core, admission, found, shown_with);
}

async function present(
  core: GatewayCore,
  admission: Admission,
  found: DriverPreview,
  { scrub, signal }: ShownWith,
): Promise<Presented | Refusal> {
  const { policy, route, entry } = admission;
  const bounds = factorProblem(policy.guardrails, entry.tool.name, route.target, found.changes);
  if (bounds !== null) return bounds;
  const rules = policy.redaction;
  const clean = await withoutNames(core.recogniser, rules, sanitizeValue(found, rules, scrub), signal);
  if (isRefusal(clean)) return clean;
  const shown = clean.value as DriverPreview;
  const changes = shown.changes as FieldChange[];
  const { object_uid } = found;
  // What is approved must be what is compared at the server: a mark in place of a value could never be found there.
  if (hashOf(changes) !== hashOf(found.changes))
    return refuse(
      'effect-unshowable',
      'A touched field holds something that must not be shown (an address, a key, a name), so nobody could approve it.',
      'Such a change is made by hand.',
    );
  const diff = unifiedDiff(shown.before, shown.after, route.target.name, rules, scrub);
  const preview = Preview.parse({
    tool: entry.tool.name,
    target: route.uri,
    object_uid,
    changes,
    side_changes: shown.side_changes,
    diff,
    warnings: shown.warnings,
    resources: found.resources,
    effect_hash: effectHashOf({ target: route.uri, object_uid, changes }),
  });
  return { preview, redactions: clean.redactions };
}

/** Unified diff of the redacted objects as YAML, without what the server rewrites on every change. */
function unifiedDiff(
  before: unknown,
  after: unknown,
  name: string,
  rules: CompiledRules,
  scrub: ExactScrub | undefined,
): string[] {
  const patch = structuredPatch(name, name, yamlOf(before), yamlOf(after), '', '', {
    context: DIFF_CONTEXT_LINES,
  });
  const lines = patch.hunks.flatMap((hunk) => [
    `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`,
    ...hunk.lines,
  ]);
  // A secret may come together only where YAML joins what JSON kept apart.
  const clean = sanitizeValue(lines, rules, scrub).value as string[];
  return clean.length <= DIFF_LINES_MAX
    ? clean
    : [...clean.slice(0, DIFF_LINES_MAX - 1), '… the diff goes on'];
}

/** Only Kubernetes objects have what their server rewrites by itself; anything else is shown as it is. */
function yamlOf(object: unknown): string {
  const options = { lineWidth: 0, sortMapEntries: true };
  if (!isKubernetesObject(object)) return stringify(object, options);
  const { metadata, status: _status, ...rest } = object;
  const { managedFields: _fields, resourceVersion: _version, generation: _generation, ...kept } = metadata;
  return stringify({ ...rest, metadata: kept }, options);
}

function isKubernetesObject(
  object: unknown,
): object is { metadata: Record<string, unknown>; status?: unknown } {
  if (typeof object !== 'object' || object === null) return false;
  const { metadata, apiVersion } = object as { metadata?: unknown; apiVersion?: unknown };
  return typeof apiVersion === 'string' && typeof metadata === 'object' && metadata !== null;
}
