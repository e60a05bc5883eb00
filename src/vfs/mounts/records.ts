import type { EvidenceKind } from '../../contract/evidence.ts';
import type { LedgerEntry } from '../../contract/ledger.ts';
import { isoTime } from '../../contract/ports.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { IncidentRow } from '../../store/store.ts';
import { linesOf, lineText } from '../line-text.ts';
import { wholeFile, type Look, type Mount, type MountContext } from '../mount.ts';
import { noParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { ledgerLine } from './ledger-lines.ts';

/**
 * What Aegis itself remembers: `/ledger/<incident>`, `/context/history/<incident>.md`, `/evidence/<id>`. Only of the
 * reader's own tenant; another tenant's incident is answered like one that never was. All of it may quote
 * sources that attackers write, so it counts as attacker-writable.
 */
const ENTRIES_MAX = 10_000;
const LIST_MAX = 500;
const MISSING: Refusal = refuse('record-not-found', 'There is no such record.', 'List the directory.');
const INCIDENT = /^INC-\d{4}-\d{4}-\d{3,6}$/;
const EVIDENCE = /^EV-[A-Za-z0-9_-]{8,32}$/;

export function ledgerMount(context: MountContext): Mount {
  return {
    name: 'ledger',
    look(path, params): Look {
      const [incident, ...beyond] = path;
      if (incident === undefined) return incidentsDirectory(context, '');
      if (beyond.length > 0 || !INCIDENT.test(incident)) return null;
      return (
        noParams(params) ??
        record('ledger', `ledger ${incident}`, 'stream', (io) => readLedger(context, incident, io))
      );
    },
  };
}

export function historyMount(context: MountContext): Mount {
  return {
    name: 'history',
    look(path, params): Look {
      const [file, ...beyond] = path;
      if (file === undefined) return incidentsDirectory(context, '.md');
      const incident = file.endsWith('.md') ? file.slice(0, -3) : '';
      if (beyond.length > 0 || !INCIDENT.test(incident)) return null;
      return (
        noParams(params) ??
        record('history', `history ${incident}`, 'stream', (io) => readHistory(context, incident, io))
      );
    },
  };
}

export function evidenceMount(context: MountContext): Mount {
  return {
    name: 'evidence',
    look(path, params): Look {
      const [id, ...beyond] = path;
      if (id === undefined) return evidenceDirectory(context);
      if (beyond.length > 0 || !EVIDENCE.test(id)) return null;
      return (
        noParams(params) ??
        record('evidence', `evidence ${id}`, 'document', (io) => readEvidence(context, id, io))
      );
    },
  };
}

/** A chain only grows, so citing it works as for a stream: the cited lines must still be there, in order. */
function record(
  mount: string,
  asks: string,
  evidence: EvidenceKind,
  read: (io: SourceReader) => Promise<readonly string[] | Refusal>,
): Look {
  return wholeFile({ mount, evidence, attacker_writable: true, asks, read });
}

async function ownIncident(context: MountContext, incident_id: string): Promise<IncidentRow | null> {
  const row = await context.store.incidents.get(incident_id);
  return row !== null && row.team === context.tenant.team && row.env === context.tenant.env ? row : null;
}

async function readLedger(
  context: MountContext,
  incident_id: string,
  io: SourceReader,
): Promise<readonly string[] | Refusal> {
  if ((await ownIncident(context, incident_id)) === null) return MISSING;
  const lines = (await context.store.ledger.read(incident_id, { limit: ENTRIES_MAX })).map(ledgerLine);
  io.local(`ledger ${incident_id}`, lines.join('\n'));
  return lines;
}

const TOLD: readonly LedgerEntry['kind'][] = [
  'transition',
  'plan',
  'approval',
  'outcome',
  'verify',
  'refusal',
  'review',
  'feedback',
];

async function readHistory(
  context: MountContext,
  incident_id: string,
  io: SourceReader,
): Promise<readonly string[] | Refusal> {
  const row = await ownIncident(context, incident_id);
  if (row === null) return MISSING;
  const entries = await context.store.ledger.read(incident_id, { limit: ENTRIES_MAX, kinds: TOLD });
  const lines = [
    `# ${incident_id}: ${lineText(row.title)}`,
    '',
    `state: ${row.state}, opened ${isoTime(row.opened_at_ms)}`,
    '',
    ...entries.map((entry) => `- ${ledgerLine(entry)}`),
  ];
  io.local(`history ${incident_id}`, lines.join('\n'));
  return lines;
}

async function readEvidence(
  context: MountContext,
  id: string,
  io: SourceReader,
): Promise<readonly string[] | Refusal> {
  const known = await context.store.evidence.record(id);
  if (known === null || known.team !== context.tenant.team || known.env !== context.tenant.env)
    return MISSING;
  const opened = await context.store.evidence.open(id);
  if ('problem' in opened)
    return opened.problem === 'missing'
      ? MISSING
      : refuse(
          `evidence-${opened.problem}`,
          `The captured file of ${id} is ${opened.problem}.`,
          'Read the source again.',
        );
  io.local(`evidence ${id}`, opened.text);
  return linesOf(opened.text);
}

function incidentsDirectory(context: MountContext, ending: string): Look {
  return {
    kind: 'dir',
    async list() {
      const rows = await context.store.incidents.list({ ...context.tenant, limit: LIST_MAX });
      return rows.map((row) => ({
        name: `${row.incident_id}${ending}`,
        kind: 'file',
        note: lineText(`${row.state} ${row.title}`).slice(0, 300),
      }));
    },
  };
}

function evidenceDirectory(context: MountContext): Look {
  return {
    kind: 'dir',
    async list({ session }) {
      if (session.incident_id === null || (await ownIncident(context, session.incident_id)) === null)
        return [];
      const records = await context.store.evidence.list(session.incident_id);
      return records
        .slice(0, LIST_MAX)
        .map((each) => ({ name: each.evidence_id, kind: 'file', note: each.path.slice(0, 300) }));
    },
  };
}
