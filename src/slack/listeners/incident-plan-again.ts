// Plan again: after an expired, denied or voided plan. The old approvals do not count for the new one.
import { incidentButton } from './incident-act.ts';

export const incidentPlanAgain = incidentButton('incident.plan_again', (origin, incident_id) => ({
  act: 'plan_again',
  origin,
  incident_id,
}));
