import { isoTime } from '../contract/ports.ts';
import { systemClock } from '../system-ports.ts';
import { withContext } from './context.ts';
import { localUser } from './freeze.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, print } from './output.ts';

/**
 * Stops one incident. The stop row alone already refuses every further dispatch, also when the service is down; the
 * inbox row makes the running service halt the incident and say so on the card.
 */
export async function stopIncident(
  options: GlobalOptions,
  incident_id: string,
  reason: string,
): Promise<void> {
  await withContext(options, 'write', async ({ store }) => {
    const row = await store.incidents.get(incident_id);
    if (row === null)
      throw new CliError(`there is no incident "${incident_id}"; "aegis incidents" lists the open ones`);
    const by = localUser();
    await store.freezes.stop(incident_id, by, reason);
    const at = isoTime(systemClock.now());
    const event = { type: 'stopped', at, by: by.replaceAll(':', '.'), reason };
    await store.inbox.append({
      source: 'cli',
      dedup_key: `stop:${incident_id}:${at}`,
      incident_id,
      kind: 'event',
      payload: event,
    });
    print(options, { stopped: incident_id }, `${incident_id} is stopped: nothing more is dispatched for it.`);
  });
}
