import { AWS_DRIVER } from './aws.ts';
import type { Driver } from './driver.ts';
import { GIT_DRIVER } from './git.ts';
import { KUBERNETES_DRIVER } from './kubernetes.ts';
import { LOKI_DRIVER } from './loki.ts';
import { POSTGRES_DRIVER } from './postgres.ts';
import { PROMETHEUS_DRIVER } from './prometheus.ts';
import { TERRAFORM_DRIVER } from './terraform.ts';

/** Every built-in driver; a new one adds its line here. */
export const DRIVERS: readonly Driver[] = [
  AWS_DRIVER,
  GIT_DRIVER,
  KUBERNETES_DRIVER,
  LOKI_DRIVER,
  POSTGRES_DRIVER,
  PROMETHEUS_DRIVER,
  TERRAFORM_DRIVER,
];
