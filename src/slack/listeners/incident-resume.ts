// Resume a halted incident. It never enters execution directly: the gates run again.
import { incidentButton } from './incident-act.ts';

export const incidentResume = incidentButton('incident.resume', (origin, incident_id) => ({
  act: 'resume',
  origin,
  incident_id,
}));
