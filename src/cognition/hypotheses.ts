import { evaluateExpectation, type Expectation, type ExpectationResult } from '../contract/expectation.ts';
import { parseYamlText } from '../contract/parse.ts';
import type { Findings } from '../contract/plan.ts';
import type { Skill } from '../contract/skill.ts';
import type { Capture, World } from '../contract/world.ts';
import { bindExpectation, fillSentence } from './skill-binding.ts';
import { currentVars, gap, narrowRead, type ReadSession } from './skill-reads.ts';
import type { Vars } from './skill-vars.ts';

/**
 * Weighs a skill's hypotheses over what was read. All conditions passed: supported. One failed: refuted. Otherwise open;
 * what could not be seen never counts for or against. Each passed or failed condition leaves a piece of evidence with
 * the narrowest lines that show it.
 */
export type Hypothesis = Findings['hypotheses'][number];
type Evidence = Findings['evidence'][number];

export interface Weighed {
  readonly hypotheses: readonly Hypothesis[];
  readonly evidence: readonly Evidence[];
  readonly gaps: readonly string[];
}

const EVIDENCE_MAX = 40;

interface Observation {
  readonly status: ExpectationResult['status'];
  readonly found: string;
  readonly capture: Capture;
  readonly lines: { readonly first: number; readonly last: number } | null;
}

export async function weighHypotheses(
  world: World,
  session: ReadSession,
  signal?: AbortSignal,
): Promise<Weighed> {
  const { vars } = currentVars(session);
  const evidence: Evidence[] = [];
  const hypotheses: Hypothesis[] = [];
  const gaps = new Set<string>();
  for (const template of session.skill.hypotheses) {
    const found_for: string[] = [];
    const found_against: string[] = [];
    let open = 0;
    for (const condition of template.when) {
      const observed = await observe(world, session, condition, vars, signal);
      const claim = fillSentence(condition.claim, vars, 200);
      const id =
        typeof observed === 'string' || observed.status === 'unknown'
          ? null
          : addEvidence(evidence, condition, claim, observed);
      if (typeof observed === 'string' && session.captures.has(condition.read))
        gaps.add(gap(`Not checked: ${claim}`, observed));
      if (typeof observed !== 'string' && observed.status === 'unknown')
        gaps.add(gap(`Not shown: ${claim}`, observed.found));
      if (id === null || typeof observed === 'string') open++;
      else if (observed.status === 'passed') found_for.push(id);
      else found_against.push(id);
    }
    const status = found_against.length > 0 ? 'refuted' : open > 0 ? 'open' : 'supported';
    const confidence = { supported: template.confidence, open: template.confidence / 4, refuted: 0 }[status];
    const text = fillSentence(template.cause, vars, 600);
    hypotheses.push({
      id: template.id,
      text,
      status,
      confidence,
      evidence_for: found_for,
      evidence_against: found_against,
    });
  }
  return { hypotheses, evidence, gaps: [...gaps] };
}

type Condition = Skill['hypotheses'][number]['when'][number];

/** Judges one condition; a string says why it could not be looked at. A failed read is a gap of its own already. */
async function observe(
  world: World,
  session: ReadSession,
  condition: Condition,
  vars: Vars,
  signal?: AbortSignal,
): Promise<Observation | string> {
  const read = session.captures.get(condition.read);
  if (read === undefined) return `${condition.read} could not be read`;
  const expect = bindExpectation(condition.expect, vars);
  if (!expect.ok) return expect.reason;
  if (read.capture.complete) return judge(read.capture, expect.value);
  const { pattern } = expect.value;
  const part = judge(read.capture, expect.value);
  // A match among the first lines is a match; anything else needs the lines that were not handed over.
  if (
    pattern !== undefined &&
    part.lines !== null &&
    (part.status === 'passed') === (expect.value.op === 'some')
  )
    return part;
  if (pattern === undefined || expect.value.op === 'none')
    return `only the first ${read.capture.lines.length} of ${read.capture.line_count} lines were handed over`;
  const narrow = await narrowRead(
    world,
    read.pipeline,
    pattern,
    `Only the lines that show: ${condition.claim}`.slice(0, 500),
    signal,
  );
  if (narrow === null || !narrow.ok)
    return narrow === null ? 'the read cannot be narrowed' : narrow.refusal.reason;
  return judge(narrow.capture, expect.value);
}

function judge(capture: Capture, expect: Expectation): Observation {
  const result = evaluateExpectation(capture.lines, expect, null);
  // An empty file shows nothing: neither the presence nor, without a positive control, the absence of anything.
  if (capture.line_count === 0)
    return { status: 'unknown', found: 'the source had no lines', capture, lines: null };
  const lines =
    result.lines ?? (expect.select === undefined ? null : lineOfSelect(capture.lines, expect.select));
  return { status: result.status, found: result.found, capture, lines };
}

/** The line of a YAML file on which the selected field stands. */
function lineOfSelect(lines: readonly string[], select: string): { first: number; last: number } | null {
  const parsed = parseYamlText(lines.join('\n'));
  if (!parsed.ok) return null;
  const path = [...select.matchAll(/[^.[\]]+/g)].map(([step]) => (/^\d+$/.test(step) ? Number(step) : step));
  const line = parsed.line_of(path);
  return line === null ? null : { first: line, last: line };
}

/** Adds a piece of evidence once and returns its id; null when there is no room for more. */
function addEvidence(
  evidence: Evidence[],
  condition: Condition,
  claim: string,
  observed: Observation,
): string | null {
  const { capture, status, found } = observed;
  const lines =
    observed.lines === null ? capture.pointer.lines : `${observed.lines.first}-${observed.lines.last}`;
  // What an attacker can write is never a precondition, whatever the skill says.
  const role = capture.attacker_writable ? 'cause' : condition.role;
  const text = status === 'passed' ? claim : `Not so (found: ${printable(found)}): ${claim}`.slice(0, 300);
  const same = evidence.find(
    (e) =>
      e.pointer.evidence_id === capture.pointer.evidence_id &&
      e.pointer.lines === lines &&
      e.claim === text &&
      e.role === role,
  );
  if (same !== undefined) return same.id;
  if (evidence.length >= EVIDENCE_MAX) return null;
  const earlier = evidence.filter(
    (e) => e.id === condition.read || e.id.startsWith(`${condition.read}_n`),
  ).length;
  const id = earlier === 0 ? condition.read : `${condition.read.slice(0, 35)}_n${earlier + 1}`;
  evidence.push({ id, role, pointer: { ...capture.pointer, lines }, claim: text });
  return id;
}

/** A found value may come from anybody: one line, plain characters, short. */
function printable(text: string): string {
  const plain = text.replaceAll(/[^\p{L}\p{N} ._:/%+-]/gu, ' ').trim();
  return plain.length <= 60 ? plain : `${plain.slice(0, 59)}…`;
}
