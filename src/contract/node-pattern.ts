import { z } from 'zod';

/** Nodes of a cluster by name, or by the beginning of their names with `*` at the end. */
export const NodePattern = z
  .string()
  .max(253)
  .regex(/^(\*|[a-z0-9][a-z0-9.-]*\*?)$/, 'a node name, or its beginning with * at the end');
export type NodePattern = z.infer<typeof NodePattern>;

export function matchesNode(pattern: NodePattern, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
