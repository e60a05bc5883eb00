// Stop: one person is enough. The confirm dialog stands on the button; here it has been answered with yes.
import { incidentButton } from './incident-act.ts';

export const incidentStop = incidentButton('incident.stop', (origin, incident_id) => ({
  act: 'stop',
  origin,
  incident_id,
  reason: 'Stopped with the button on the card',
}));
