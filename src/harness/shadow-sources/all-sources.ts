import { gitCommits } from './git-commits.ts';
import { kubernetesAudit } from './kubernetes-audit.ts';
import { kubernetesChanges } from './kubernetes-changes.ts';
import type { ShadowSource } from './source.ts';

/** All of them are asked at each look, in this order; the first one to show an act names it. */
export const SHADOW_SOURCES: readonly ShadowSource[] = [kubernetesChanges, kubernetesAudit, gitCommits];
