import type { EvidenceRecord } from '../../contract/evidence.ts';
import type { Gate, GateFacts } from './gate.ts';
import { passed, refused } from './gate.ts';

/**
 * Each action cites preconditions, each pointer equals a stored record of this incident in every field, and at least
 * one fact per action comes from a source that an attacker cannot write (law 4).
 */
export const evidencePresentGate: Gate = {
  gate: 'evidence-present',
  title: 'Evidence is cited and stored',
  check(facts) {
    for (const cited of facts.plan.evidence) {
      const problem = pointerProblem(facts, cited.id);
      if (problem !== null)
        return refused(
          `Evidence "${cited.id}" ${problem}.`,
          'Plan again: evidence must come from this investigation.',
        );
    }
    for (const action of facts.plan.actions) {
      const trusted = action.preconditions.some((id) => isFactOfWorld(facts.records.get(id)));
      if (!trusted)
        return refused(
          `${action.change_id} rests only on logs, labels or documents, which say nothing that others could not have written.`,
          'At least one fact must come from the control plane (status, spec, quota).',
        );
    }
    return passed(`${facts.plan.evidence.length} pointers, all stored`);
  },
};

/** Something that a control plane says of the world. What lies elsewhere (skills, history) was written by people. */
function isFactOfWorld(record: EvidenceRecord | undefined): boolean {
  return record?.attacker_writable === false && record.path.startsWith('/teams/');
}

function pointerProblem(facts: GateFacts, id: string): string | null {
  const pointer = facts.plan.evidence.find((e) => e.id === id)?.pointer;
  const record = facts.records.get(id);
  if (pointer === undefined || record === undefined) return 'is not stored';
  if (record.incident_id !== facts.incident.incident_id) return 'belongs to another incident';
  const { team, env } = facts.incident.scope;
  if (record.team !== team || record.env !== env) return 'belongs to another team or environment';
  const differs = (['evidence_id', 'path', 'query', 'sha256', 'captured_at'] as const).filter(
    (k) => pointer[k] !== record[k],
  );
  if (differs.length > 0) return `differs from what was captured (${differs.join(', ')})`;
  const [first, last] = pointer.lines.split('-').map(Number) as [number, number];
  return first <= last && last <= record.line_count
    ? null
    : `cites lines ${pointer.lines} of a file with ${record.line_count}`;
}
