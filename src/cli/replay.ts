import { replayIncident } from '../harness/replay.ts';
import { withContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print, table } from './output.ts';

export async function replay(options: GlobalOptions, incident: string): Promise<void> {
  await withContext(options, 'read', async ({ store }) => {
    const report = await replayIncident(store, incident);
    if (report === null)
      throw new CliError(`there is no incident "${incident}"; "aegis incidents --all" lists them`);
    const rows = report.steps.map((s) => [
      String(s.seq),
      s.at,
      s.type,
      s.from === s.to ? s.to : `${s.from} -> ${s.to}`,
    ]);
    const verdict = report.equal
      ? `replayed ${report.events} events from the ledger alone: every state reproduced, the result equals the live state`
      : `replayed ${report.steps.length} of ${report.events} events: this is NOT the live state.\n${report.problems.map((problem) => `- ${problem}`).join('\n')}\nKeep the files as they are, run "aegis ledger verify --witness" and compare with a backup.`;
    print(options, report, `${table([['SEQ', 'AT', 'EVENT', 'STATE'], ...rows])}\n${verdict}`);
    if (!report.equal) process.exitCode = EXIT.refused;
  });
}
