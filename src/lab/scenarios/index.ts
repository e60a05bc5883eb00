import { badDeploy, badDeployLateFailure, badDeployNoWayBack } from './bad-deploy.ts';
import type { Scenario } from './scenario.ts';
import { sparkDriverOom } from './spark-driver-oom.ts';

/** Every scenario; `aegis lab <name>` runs one. */
export const SCENARIOS: readonly Scenario[] = [
  sparkDriverOom,
  badDeploy,
  badDeployNoWayBack,
  badDeployLateFailure,
];
