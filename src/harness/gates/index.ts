import type { GateLine } from '../../contract/notice.ts';
import { approvalsGate } from './approvals.ts';
import { budgetGate } from './budget.ts';
import { evidenceCurrentGate } from './evidence-current.ts';
import { evidencePresentGate } from './evidence-present.ts';
import type { Gate, GateFacts } from './gate.ts';
import { gateLine } from './gate.ts';
import { previewedGate } from './previewed.ts';
import { riskGate } from './risk.ts';
import { targetLockGate } from './target-lock.ts';
import { targetScopeGate } from './target-scope.ts';
import { toolsAllowedGate } from './tools-allowed.ts';
import { wellFormedGate } from './well-formed.ts';
import { windowAndFreezeGate } from './window-and-freeze.ts';

/** The gates in DESIGN's order (section 7). The order is what people read; all of them always run. */
export const GATES: readonly Gate[] = [
  wellFormedGate,
  targetScopeGate,
  evidencePresentGate,
  evidenceCurrentGate,
  toolsAllowedGate,
  previewedGate,
  windowAndFreezeGate,
  riskGate,
  approvalsGate,
  budgetGate,
  targetLockGate,
];

export function checkGates(facts: GateFacts): GateLine[] {
  return GATES.map((gate) => gateLine(gate, facts));
}
