import { z } from 'zod';
import { Approval } from '../contract/approval.ts';
import { EvidencePointer, EvidenceRecord } from '../contract/evidence.ts';
import { Guardrails } from '../contract/guardrails.ts';
import { IncidentContext } from '../contract/incident.ts';
import { LedgerEntry } from '../contract/ledger.ts';
import { Notice } from '../contract/notice.ts';
import { Findings, Plan, PlanDraft } from '../contract/plan.ts';
import { Retention } from '../contract/retention.ts';
import { RiskEnvelope } from '../contract/risk.ts';
import { Settings } from '../contract/settings.ts';
import { Skill } from '../contract/skill.ts';
import { Permit, Preview, ToolDefinition, ToolOutcome } from '../contract/tool.ts';
import { Verdict } from '../contract/verdict.ts';
import { WorldRequest, WorldResponse } from '../contract/world.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  approval: Approval,
  config: Settings,
  'evidence-pointer': EvidencePointer,
  'evidence-record': EvidenceRecord,
  findings: Findings,
  guardrails: Guardrails,
  incident: IncidentContext,
  'ledger-entry': LedgerEntry,
  notice: Notice,
  permit: Permit,
  plan: Plan,
  'plan-draft': PlanDraft,
  preview: Preview,
  retention: Retention,
  risk: RiskEnvelope,
  skill: Skill,
  'tool-definition': ToolDefinition,
  'tool-outcome': ToolOutcome,
  verdict: Verdict,
  'world-request': WorldRequest,
  'world-response': WorldResponse,
};

export function schema(options: GlobalOptions, name: string | undefined): void {
  const names = Object.keys(SCHEMAS);
  if (name === undefined) return print(options, { schemas: names }, names.join('\n'));
  const found = SCHEMAS[name];
  if (found === undefined)
    throw new CliError(`there is no schema "${name}"; known are: ${names.join(', ')}`, EXIT.usage);
  const json = z.toJSONSchema(found, { io: 'input', unrepresentable: 'any' });
  process.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
}
