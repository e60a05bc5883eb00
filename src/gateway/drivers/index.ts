import { AWS_DRIVER } from './aws.ts';
import type { Driver } from './driver.ts';
import { KUBERNETES_DRIVER } from './kubernetes.ts';
import { LOKI_DRIVER } from './loki.ts';
import { PROMETHEUS_DRIVER } from './prometheus.ts';

/** Every built-in driver; a new one adds its line here. */
export const DRIVERS: readonly Driver[] = [KUBERNETES_DRIVER, LOKI_DRIVER, PROMETHEUS_DRIVER, AWS_DRIVER];
