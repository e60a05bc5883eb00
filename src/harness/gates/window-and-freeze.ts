import type { Gate, GateFacts } from './gate.ts';
import { passed, refused } from './gate.ts';

/** No freeze covers the place, nobody pressed Stop, and the change window (UTC) is open. */
export const windowAndFreezeGate: Gate = {
  gate: 'window-and-freeze',
  title: 'No freeze, inside the change window',
  check(facts) {
    if (facts.stopped)
      return refused('Somebody pressed Stop on this incident.', 'Press Plan again to start over.');
    const freeze = facts.freezes[0];
    if (freeze !== undefined) {
      const until =
        freeze.until_ms === null ? 'until it is lifted' : `until ${new Date(freeze.until_ms).toISOString()}`;
      return refused(
        `${freeze.scope === '*' ? 'Everything' : freeze.scope} is frozen ${until} by ${freeze.by}: ${freeze.reason}`,
        freeze.remedy,
      );
    }
    const closed = windowProblem(facts);
    return closed === null ? passed('no freeze') : refused(closed, 'Wait for the window, or act by hand.');
  },
};

function windowProblem({ incident, now_ms }: GateFacts): string | null {
  const window = incident.change_window;
  if (window === null) return null;
  const now = new Date(now_ms);
  const hhmm = now.toISOString().slice(11, 16);
  const open = window.days.includes(now.getUTCDay()) && hhmm >= window.from && hhmm < window.to;
  return open ? null : `Outside the change window ${window.from} to ${window.to} UTC.`;
}
