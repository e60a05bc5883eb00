import type { Story } from './ledger-story.ts';
import { bullets, code, plain, table } from './markdown.ts';
import { timelineOf, utc, whoIs, type Names } from './timeline.ts';

/** The sections of a postmortem, each from the story alone; null where the ledger has nothing to say. */
export function summarySection(story: Story, names: Names): string | null {
  const { context, findings, plan } = story;
  if (context === null) return null;
  const started = context.involved.map((i) => whoIs(`person:${i.principal}`, names)).join(', ');
  const done = ofPhase(story, 'apply').map(({ value }) => {
    const intent = plan?.plan.actions.find((a) => a.change_id === value.change_id)?.intent ?? value.change_id;
    return isPutBack(story, value.change_id) ? `${intent} (put back afterwards)` : intent;
  });
  const passed = story.checks.filter(({ value }) => value.status === 'passed').length;
  const minutes = durationMinutes(context.opened_at, story.closed_at);
  return bullets([
    `${plain(context.title)} (${context.severity}, ${plain(`${context.scope.team}/${context.scope.env}`)}${context.scope.service === undefined ? '' : `, service ${plain(context.scope.service)}`})`,
    findings?.conclusive === true ? `Cause: ${plain(findings.cause ?? '', 600)}` : 'Cause: none was shown',
    done.length > 0
      ? `Done: ${done.map((intent) => plain(intent)).join('; ')}`
      : 'Done: nothing was changed by Aegis',
    story.checks.length > 0
      ? `Result: ${passed} of ${story.checks.length} checks passed`
      : 'Result: no check ran',
    `Opened ${utc(context.opened_at)}, ${story.closed_at === null ? 'not closed in this ledger' : `closed ${utc(story.closed_at)}${minutes === null ? '' : ` after ${minutes} min`}`}`,
    ...(started === '' ? [] : [`Involved at opening: ${started}`]),
    ...(context.recurrence_of === null ? [] : [`It happened before: ${context.recurrence_of}`]),
    `Draft from ${story.entries.length} ledger entries, head ${code((story.entries.at(-1)?.hash ?? '').slice(0, 12))}${story.unreadable === 0 ? '' : `; ${story.unreadable} entries could not be read`}`,
  ]);
}

export function impactSection({ context, plan }: Story): string | null {
  if (context === null) return null;
  const first = context.alerts.map((alert) => alert.starts_at).sort()[0];
  const affected = plan?.risk.counterfactual_impact.affected_services ?? [];
  return bullets([
    ...(context.slo === undefined ? [] : [`Objective: ${plain(context.slo)}`]),
    ...(first === undefined ? [] : [`Firing since ${utc(first)}`]),
    ...(affected.length === 0
      ? []
      : [`Services that stand on it: ${affected.map((name) => plain(name, 80)).join(', ')}`]),
    ...(plan === null ? [] : [`Without the change: ${plain(plan.risk.if_not_applied, 500)}`]),
  ]);
}

export function timelineSection(story: Story, names: Names): string | null {
  return table(
    ['when', 'who', 'what'],
    timelineOf(story.entries, names).map((row) => [row.at === '' ? '…' : utc(row.at), row.who, row.what]),
  );
}

export function causeSection({ findings, plan }: Story): string | null {
  if (findings === null || !findings.conclusive) return null;
  const winner = findings.hypotheses
    .filter((h) => h.status === 'supported')
    .toSorted((a, b) => b.confidence - a.confidence)[0];
  const skill =
    findings.skill === null
      ? ''
      : ` Found with skill ${code(`${findings.skill.name} v${findings.skill.version}`)}.`;
  const cited = findings.evidence.filter(
    (e) => winner?.evidence_for.includes(e.id) ?? plan?.plan.evidence.some((p) => p.id === e.id),
  );
  const list = bullets(cited.map(evidenceLine));
  return `${plain(findings.cause ?? '', 600)} Confidence ${Math.round(findings.confidence * 100)} %.${skill}${list === null ? '' : `\n\n${list}`}`;
}

export function ruledOutSection({ findings }: Story): string | null {
  if (findings === null) return null;
  const rivals = findings.hypotheses.filter((h) => h.status !== 'supported');
  return bullets(
    rivals.map((rival) => {
      const against = findings.evidence
        .filter((e) => rival.evidence_against.includes(e.id))
        .map(evidenceLine);
      const verdict =
        rival.status === 'refuted' ? 'refuted' : 'not excluded: something needed to judge it was not seen';
      return `${plain(rival.text, 600)} **${verdict}**${against.map((line) => `\n  - ${line}`).join('')}`;
    }),
  );
}

function evidenceLine(evidence: NonNullable<Story['findings']>['evidence'][number]): string {
  const { pointer, claim } = evidence;
  return `${plain(claim)} ${code(pointer.path)} lines ${pointer.lines}, sha256 ${code(pointer.sha256.slice(0, 12))}, ${utc(pointer.captured_at)}`;
}

/** Decisions that counted and attempts that were refused, in the order of the ledger. */
export function decisionSection(story: Story, names: Names): string | null {
  const decided = story.approvals.flatMap(({ at, seq, value }) => {
    if (value.type !== 'decision') return [];
    const { principal, role, decision, via, reason } = value.decision;
    return [
      {
        seq,
        cells: [
          utc(at),
          whoIs(`person:${principal}`, names),
          plain(role, 40),
          `**${decision}** over ${via}`,
          plain(reason),
        ],
      },
    ];
  });
  const refused = story.refusals.flatMap(({ at, seq, value }) =>
    value.by === null
      ? []
      : [
          {
            seq,
            cells: [
              utc(at),
              whoIs(`person:${value.by}`, names),
              '',
              `refused: ${plain(value.about, 80)}`,
              plain(value.reason),
            ],
          },
        ],
  );
  const rows = [...decided, ...refused].sort((a, b) => a.seq - b.seq).map((row) => row.cells);
  return table(['when', 'who', 'as', 'decision', 'reason'], rows);
}

export function changeSection(story: Story): string | null {
  const { plan } = story;
  if (plan === null) return null;
  const blocks = plan.plan.actions.map((action) => {
    const [outcome, undo] = (['apply', 'undo'] as const).map((phase) =>
      story.outcomes.findLast(({ value }) => value.change_id === action.change_id && value.phase === phase),
    );
    const fields = story.previews.get(action.change_id)?.changes ?? [];
    const diff = table(
      ['field', 'before', 'after'],
      fields.map((f) => [code(f.path), jsonCode(f.before), jsonCode(f.after)]),
    );
    const result =
      outcome === undefined
        ? 'was not run'
        : `**${outcome.value.outcome.status}** at ${utc(outcome.at)}: ${plain(outcome.value.outcome.summary)}`;
    const head = `${action.change_id} ${plain(action.intent)} (${code(action.tool)} on ${code(action.target)}): ${result}`;
    const back =
      undo === undefined
        ? []
        : [
            `Put back: **${undo.value.outcome.status}** at ${utc(undo.at)}: ${plain(undo.value.outcome.summary)}`,
          ];
    return [head, ...(diff === null ? [] : [diff]), ...back, ...credentialLine(story, action.change_id)].join(
      '\n\n',
    );
  });
  return blocks.join('\n\n');
}

/** Writes of a phase that were done. */
function ofPhase(story: Story, phase: 'apply' | 'undo'): Story['outcomes'] {
  return story.outcomes.filter(({ value }) => value.outcome.status === 'done' && value.phase === phase);
}

function isPutBack(story: Story, change_id: string): boolean {
  return ofPhase(story, 'undo').some(({ value }) => value.change_id === change_id);
}

/** Whether the credential of the write was leased for it and is dead. */
function credentialLine(story: Story, change_id: string): string[] {
  const call = story.calls.findLast(
    ({ value }) =>
      value.phase === 'after' &&
      value.door === 'execute' &&
      value.journal_key?.includes(`#${change_id}#`) === true,
  );
  const credential = call?.value.credential;
  if (credential === undefined || credential === null) return [];
  const state = credential.revoked
    ? 'revoked after the call'
    : credential.revocable
      ? 'NOT revoked: check it'
      : 'not revocable';
  return [`Credential of this call: ${plain(credential.engine, 60)}, ${state}.`];
}

function jsonCode(value: unknown): string {
  return code(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'absent'));
}

export function verificationSection({ checks }: Story): string | null {
  return table(
    ['check', 'result', 'found', 'tries'],
    checks.map(({ value }) => [
      plain(value.title),
      `**${value.status}**`,
      plain(value.found, 200),
      String(value.tries),
    ]),
  );
}

export function costSection(story: Story): string | null {
  const { context, reads, calls } = story;
  if (context === null) return null;
  const model = story.entries.flatMap((entry) => (entry.kind === 'cost' ? [entry.payload] : []));
  const finished = calls.flatMap(({ value }) =>
    value.phase === 'after' && value.cost !== null ? [value.cost] : [],
  );
  const tokens =
    sum(reads.map(({ value }) => value.cost.tokens)) + sum(model.map((cost) => numberOf(cost['tokens'])));
  const usd = sum(finished.map((cost) => cost.usd)) + sum(model.map((cost) => numberOf(cost['usd'])));
  const minutes = durationMinutes(context.opened_at, story.closed_at ?? story.entries.at(-1)?.at ?? null);
  return table(
    ['what', 'used', 'budget'],
    [
      ['tokens', String(tokens), String(context.budget.tokens_max)],
      ['USD', usd.toFixed(2), context.budget.cost_usd_max.toFixed(2)],
      [
        'calls',
        String(calls.filter(({ value }) => value.phase === 'before').length),
        `${context.budget.tool_calls_max}, and a reserve for the change, its checks and its undo`,
      ],
      ['minutes', minutes === null ? 'unknown' : String(minutes), String(context.budget.minutes_max)],
      ['files read', `${reads.length} (${sum(reads.map(({ value }) => value.bytes))} bytes)`, ''],
    ],
  );
}

export function gapSection({ findings, plan }: Story): string | null {
  const gaps = [...new Set([...(findings?.gaps ?? []), ...(plan?.plan.gaps ?? [])])];
  return findings !== null && gaps.length === 0
    ? 'Every read that the procedure asked for was answered.'
    : bullets(gaps.map((text) => plain(text)));
}

/** Rules, not advice from a model: each follow-up names what in the ledger asks for it. */
export function followUpSection(story: Story): string | null {
  const { plan, findings, context } = story;
  const changed = ofPhase(story, 'apply').filter(({ value }) => !isPutBack(story, value.change_id));
  const targets = changed.flatMap(
    ({ value }) =>
      plan?.plan.actions.filter((a) => a.change_id === value.change_id && !a.tool.startsWith('git.')) ?? [],
  );
  const unknown = story.outcomes.filter(({ value }) => value.outcome.status === 'outcome_unknown');
  const unsure = story.checks.filter(({ value }) => value.status !== 'passed');
  const items = [
    ...unknown.map(
      ({ value }) => `Look at what ${value.change_id} changed: nobody can tell whether it was applied`,
    ),
    ...targets.map(
      (action) =>
        `Carry the change of ${code(action.target)} into its source, or the next deployment undoes it`,
    ),
    ...unsure.map(
      ({ value }) =>
        `Check by hand: ${plain(value.title)} (it ${value.status === 'failed' ? 'failed' : 'gave no answer'})`,
    ),
    ...(findings?.gaps.length ? ['Make visible what could not be seen (above)'] : []),
    ...(story.halts.length > 0
      ? [
          `It stood still ${story.halts.length} time${story.halts.length === 1 ? '' : 's'}: see the timeline for the reasons`,
        ]
      : []),
    ...(context?.recurrence_of == null
      ? []
      : [`It came back after ${context.recurrence_of}: the cause behind the cause is still there`]),
    ...(findings !== null && !findings.conclusive
      ? ['No skill showed the cause: write down what people found, as a skill']
      : []),
  ];
  return bullets(items);
}

function durationMinutes(from: string, to: string | null): number | null {
  const ms = to === null ? Number.NaN : Date.parse(to) - Date.parse(from);
  return Number.isFinite(ms) ? Math.round(ms / 6000) / 10 : null;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
