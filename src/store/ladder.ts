import { canonicalJson } from '../contract/canonical.ts';
import { isoTime } from '../contract/ports.ts';
import { LadderRaise, Score } from '../contract/shadow.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import type { LadderPlace, LadderStore } from './ladder-store.ts';

const SCORES_LIMIT_MAX = 10_000;
const PLACES_MAX = 10_000;

/** Called inside the transaction of a step: its scores stand or fall with it. */
export function scoreWriter(core: Core): (scores: readonly Score[]) => void {
  const put = core.db.prepare<[string, number, string, string, string, string]>(
    'INSERT INTO score (incident_id, step, team, env, service, body) VALUES (?, ?, ?, ?, ?, ?)',
  );
  return (scores) => {
    for (const score of scores)
      put.run(score.incident_id, score.step, score.team, score.env, score.service, canonicalJson(score));
  };
}

export function ladderStore(core: Core, append: AppendToChain): LadderStore {
  const { db } = core;
  const places = db.prepare<[number], LadderPlace>(
    'SELECT DISTINCT team, env, service FROM score ORDER BY team, env, service LIMIT ?',
  );
  const scores = db.prepare<[string, string, string, number], { body: string }>(
    `SELECT body FROM score WHERE team = ? AND env = ? AND service = ?
      ORDER BY json_extract(body, '$.at') DESC, incident_id DESC, step DESC LIMIT ?`,
  );
  const raises = db.prepare<[string, string, string], { decision: string }>(
    'SELECT decision FROM ladder_vote WHERE team = ? AND env = ? AND service = ? AND decision IS NOT NULL ORDER BY n',
  );
  return {
    async places() {
      return places.all(PLACES_MAX);
    },
    async scores({ team, env, service }, limit) {
      const rows = scores.all(team, env, service, Math.min(limit, SCORES_LIMIT_MAX));
      return rows.map((row) => Score.parse(JSON.parse(row.body))).toReversed();
    },
    async raises({ team, env, service }) {
      return raises.all(team, env, service).map((row) => LadderRaise.parse(JSON.parse(row.decision)));
    },
    vote: voteMethod(core, append),
  };
}

function voteMethod(core: Core, append: AppendToChain): LadderStore['vote'] {
  const { db } = core;
  type Key = [string, string, string];
  // Votes after the last decision about this place, and no older than the window.
  const open = db.prepare<[...Key, string, number, ...Key], { voter: string }>(
    `SELECT voter FROM ladder_vote WHERE team = ? AND env = ? AND service = ? AND to_level = ? AND at_ms > ?
        AND n > coalesce((SELECT max(n) FROM ladder_vote
                           WHERE team = ? AND env = ? AND service = ? AND decision IS NOT NULL), 0)
      ORDER BY n DESC LIMIT 1`,
  );
  const put = db.prepare<[...Key, string, string, number, string | null]>(
    'INSERT INTO ladder_vote (team, env, service, to_level, voter, at_ms, decision) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  return async ({ team, env, service }, { to, by, window_ms }) =>
    core.immediate(() => {
      const now = core.clock.now();
      const key: Key = [team, env, service];
      const first = open.get(...key, to, now - window_ms, ...key);
      if (first?.voter === by) return 'same-person';
      const raise: LadderRaise | null =
        first === undefined ? null : { team, env, service, to, by: [first.voter, by], at: isoTime(now) };
      put.run(...key, to, by, now, raise === null ? null : canonicalJson(raise));
      const payload = { type: raise === null ? 'ladder_vote' : 'ladder_raise', team, env, service, to, by };
      append('SYSTEM', [{ kind: 'approval', actor: `person:${by}`, payload: { ...payload, raise } }]);
      return raise ?? 'first';
    });
}
