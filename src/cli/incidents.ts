import { isoTime } from '../contract/ports.ts';
import { withContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { print, table } from './output.ts';

/** Rows that one call shows. */
const ROWS_MAX = 200;

export async function incidents(options: GlobalOptions, o: { all?: boolean }): Promise<void> {
  await withContext(options, 'read', async ({ store }) => {
    const rows = await store.incidents.list(
      o.all === true ? { limit: ROWS_MAX } : { open: true, limit: ROWS_MAX },
    );
    const shown = rows.map((r) => ({
      incident_id: r.incident_id,
      state: r.state,
      team: r.team,
      env: r.env,
      title: r.title,
      updated_at: isoTime(r.updated_at_ms),
    }));
    const lines = shown.map((r) => [r.incident_id, r.state, `${r.team}/${r.env}`, r.updated_at, r.title]);
    print(
      options,
      { incidents: shown },
      lines.length === 0
        ? 'No open incidents.'
        : table([['INCIDENT', 'STATE', 'SCOPE', 'UPDATED', 'TITLE'], ...lines]),
    );
  });
}
