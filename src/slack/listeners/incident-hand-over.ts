// Hand over: Aegis steps back, a person has the incident.
import { incidentButton } from './incident-act.ts';

export const incidentHandOver = incidentButton('incident.hand_over', (origin, incident_id) => ({
  act: 'hand_over',
  origin,
  incident_id,
}));
