// Activate: start the read-only investigation. Whoever presses is from then on involved.
import { incidentButton } from './incident-act.ts';

export const incidentActivate = incidentButton('incident.activate', (origin, incident_id) => ({
  act: 'activate',
  origin,
  incident_id,
}));
