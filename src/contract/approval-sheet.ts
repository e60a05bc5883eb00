import type { Decision } from './approval.ts';
import type { ApprovalNotice, GateLine } from './notice.ts';
import { oneLine, visible } from './visible.ts';

/**
 * What somebody must have seen before deciding, as plain words: the command line prints it, the page of the step-up draws
 * it, and Slack's cards share its parts. Hidden signs are shown as what they are, so nothing reads otherwise than it is.
 */
type Action = ApprovalNotice['actions'][number];

/** Everything that applying an action changes, one line each: the diff, what the server adds by itself, its canary. */
export function changeLines(action: Action): string[] {
  const diff = action.diff.length > 0 ? action.diff : action.changes.map((change) => fieldLine(change));
  const side = action.side_changes.map((change) => fieldLine(change));
  const first = action.canary?.changes.map((change) => fieldLine(change)) ?? [];
  const lines = [
    ...diff,
    ...(side.length === 0 ? [] : ['# the server also changes:', ...side]),
    ...(first.length === 0 ? [] : ['# its canary sets first:', ...first]),
  ];
  // A line break inside a "line" would forge a diff line of its own.
  return lines.map((line) => visible(line).replaceAll('\n', '\\n'));
}

/** `/spec/driver/memory: "1g" -> "2g"`. */
function fieldLine(change: Action['changes'][number]): string {
  return `${change.path}: ${JSON.stringify(change.before ?? null)} -> ${JSON.stringify(change.after ?? null)}`;
}

/** Risk in rows of two words and a sentence. */
export function riskWords(notice: ApprovalNotice): [string, string][] {
  const { risk } = notice;
  const effect = risk.counterfactual_impact;
  const likelihood = effect.failure_likelihood;
  const basis = likelihood.n === 0 ? 'no past cases' : `${likelihood.n} past cases`;
  const affected = effect.affected_services.slice(0, 6).join(', ') || 'no other service';
  const rollback = notice.actions.map((action) => action.rollback);
  const rows: [string, string][] = [
    [
      'Blast radius',
      `${risk.blast_radius_score.toFixed(2)} ${radiusWord(risk.blast_radius_score)}: ${effect.affected_services.slice(0, 6).join(', ') || risk.impact_scope.slice(0, 6).join(', ') || 'nothing else'}`,
    ],
    [
      'If applied',
      `${effect.estimated_downtime_sec === 0 ? 'No downtime' : `${effect.estimated_downtime_sec} s of downtime`} expected for ${affected}; ${percent(likelihood.mean)} chance of failure (${percent(likelihood.low)} to ${percent(likelihood.high)}, ${basis})`,
    ],
    ['If not applied', `${risk.if_not_applied.slice(0, 1).toUpperCase()}${risk.if_not_applied.slice(1)}`],
    ...(risk.why.length === 0 ? [] : [['Why', risk.why.slice(0, WHYS_SHOWN).join('; ')] as [string, string]]),
    ['Rollback', [...new Set(rollback)].join('; ') || 'none'],
    [
      'Confidence',
      `${notice.confidence.toFixed(2)}${risk.safe_alternatives.length > 0 ? `; safer way considered: ${risk.safe_alternatives[0] as string}` : ''}`,
    ],
  ];
  const bake = notice.bake_s === undefined ? '' : ` (and once more after ${notice.bake_s} s)`;
  if (notice.checks.length > 0)
    rows.push(['Checked after', `${notice.checks.slice(0, 6).join('; ')}${bake}`]);
  return rows;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function radiusWord(score: number): string {
  if (score >= 0.7) return 'HIGH';
  return score >= 0.3 ? 'MEDIUM' : 'LOW';
}

/** Reasons of the risk that people are shown; the whole plan holds all. */
const WHYS_SHOWN = 4;

/** How a decision came, where it did not come from Slack. */
export function viaWords(via: Decision['via']): string {
  return { slack: '', cli: ', command line', link: ', step-up link' }[via];
}

export interface SheetPart {
  readonly title: string;
  readonly lines: readonly string[];
  /** A diff keeps its spaces and is never folded. */
  readonly kind: 'words' | 'diff';
}

/** Everything, nothing cut: targets, whole diffs, rollback, risk, gates, who decided, and what exactly is signed. */
export function approvalSheet(notice: ApprovalNotice): SheetPart[] {
  const { team, env } = notice.scope;
  const words = (title: string, lines: readonly string[]): SheetPart[] =>
    lines.length === 0 ? [] : [{ title, lines: lines.map(oneLine), kind: 'words' }];
  return [
    ...words('Plan', [
      `${notice.approval_id}, revision ${notice.revision}, for ${notice.incident_id} in ${team}/${env}: ${notice.status}. ${notice.status_text}`,
      `Because (confidence ${notice.confidence.toFixed(2)}): ${notice.cause}`,
      ...(notice.simulated ? ['SIMULATED: these are not the real systems'] : []),
    ]),
    ...notice.actions.flatMap(actionParts),
    ...words('Not seen', notice.gaps),
    ...words(
      'Risk',
      riskWords(notice).map(([name, text]) => `${name}: ${text}`),
    ),
    ...words('Gates', notice.gates.map(gateWords)),
    ...words('Decisions', decisionWords(notice)),
    ...words('What you sign', [
      `Plan sha256:${notice.plan_hash}`,
      `Effect sha256:${notice.effect_hash}`,
      `Expires ${notice.expires_at}`,
    ]),
  ];
}

function actionParts(action: Action): SheetPart[] {
  const name = `${action.change_id}: ${oneLine(action.intent)}`;
  const facts = [
    `On ${action.target} with ${action.tool}, class ${action.action_class}`,
    ...(action.canary === undefined ? [] : [action.canary.words]),
    `Rollback: ${action.rollback}`,
    ...(action.credential_revocable ? [] : ['Its credential cannot be revoked after the call']),
    ...action.warnings.map((warning) => `Warning: ${warning}`),
  ];
  return [
    { title: name, lines: facts.map(oneLine), kind: 'words' },
    { title: `Diff of ${action.change_id}`, lines: changeLines(action), kind: 'diff' },
  ];
}

function gateWords({ title, status, reason, remedy }: GateLine): string {
  return status === 'passed' ? `passed: ${title}` : `${status}: ${title}. ${reason} ${remedy}`;
}

function decisionWords(notice: ApprovalNotice): string[] {
  const { rule, approvals_given, decisions, who_can, step_up } = notice;
  const done = decisions.map(
    (d) =>
      `${d.principal} (${d.role}${viaWords(d.via)}): ${d.decision}${d.reason === '' ? '' : `, ${d.reason}`}`,
  );
  const missing = rule.people - approvals_given;
  return [
    ...done,
    rule.people === 0
      ? `Nobody is asked: rule ${rule.name}, autonomy limited`
      : `${approvals_given} of ${rule.people} approvals given${missing > 0 ? `; who can: ${who_can}` : ''}`,
    ...(step_up === undefined || step_up.given ? [] : ['One of them must come over the step-up link']),
  ];
}
