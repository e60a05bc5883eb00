/** Identity policies as IAM evaluates them: an explicit deny wins, else an allow, else nothing is allowed. */
import { IamError } from './iam-error.ts';

interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Sid?: string;
}

export type PolicyStatements = readonly Statement[];

export function simulate(
  policies: Readonly<Record<string, PolicyStatements>>,
  action: string,
  resource: string,
): { decision: 'allowed' | 'explicitDeny' | 'implicitDeny'; by: string[] } {
  const matching = Object.entries(policies).flatMap(([policy, statements]) =>
    statements.filter((one) => matches(one, action, resource)).map(({ Effect }) => ({ policy, Effect })),
  );
  const by = (effect: 'Allow' | 'Deny') => matching.filter((m) => m.Effect === effect).map((m) => m.policy);
  const denied = by('Deny');
  if (denied.length > 0) return { decision: 'explicitDeny', by: denied };
  const allowed = by('Allow');
  return { decision: allowed.length > 0 ? 'allowed' : 'implicitDeny', by: allowed };
}

function matches(statement: Statement, action: string, resource: string): boolean {
  const unknown = Object.keys(statement).find(
    (key) => !['Sid', 'Effect', 'Action', 'Resource'].includes(key),
  );
  if (unknown !== undefined)
    throw new IamError(501, 'NotInTwin', `iam twin: the policy element ${unknown} is not simulated`);
  const some = (patterns: string | readonly string[], text: string) =>
    [patterns].flat().some((pattern) => like(pattern, text));
  return some(statement.Action, action.toLowerCase()) && some(statement.Resource, resource);
}

/** `*` any text, `?` one character; actions are compared without case. */
function like(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  const [head] = pattern;
  if (head === '*') return like(pattern.slice(1), text) || (text !== '' && like(pattern, text.slice(1)));
  if (text === '') return false;
  return (
    (head === '?' || head?.toLowerCase() === text[0]?.toLowerCase()) && like(pattern.slice(1), text.slice(1))
  );
}
