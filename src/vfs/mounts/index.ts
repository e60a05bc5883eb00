import type { Mount, MountContext } from '../mount.ts';
import { jobsMount } from './jobs.ts';
import { kubernetesMount } from './kubernetes.ts';
import { lokiMount } from './loki.ts';
import { prometheusMount } from './prometheus.ts';
import { evidenceMount, historyMount, ledgerMount } from './records.ts';
import { repositoriesMount } from './repositories.ts';
import { skillsMount } from './skills.ts';

/** All mounts: where they hang and who makes them. `tenant` ones hang below `/teams/<team>/<env>`, `root` ones below `/`. */
export interface MountPoint {
  readonly under: 'tenant' | 'root';
  readonly at: readonly string[];
  readonly create: (context: MountContext) => Mount;
}

export const MOUNTS: readonly MountPoint[] = [
  { under: 'tenant', at: ['change'], create: repositoriesMount },
  { under: 'tenant', at: ['jobs'], create: jobsMount },
  { under: 'tenant', at: ['k8s'], create: kubernetesMount },
  { under: 'tenant', at: ['logs'], create: lokiMount },
  { under: 'tenant', at: ['metrics'], create: prometheusMount },
  { under: 'root', at: ['context', 'history'], create: historyMount },
  { under: 'root', at: ['context', 'skills'], create: skillsMount },
  { under: 'root', at: ['evidence'], create: evidenceMount },
  { under: 'root', at: ['ledger'], create: ledgerMount },
];
