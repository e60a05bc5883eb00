import type { Driver } from './driver.ts';
import { TERRAFORM_APPLY, TF_SHOW, TF_STATE_LIST } from './terraform/tools.ts';

/** `mcp://tf/<name>/-/workspace/<workspace>`: a Terraform or OpenTofu workspace. */
export const TERRAFORM_DRIVER: Driver = {
  system: 'tf',
  tools: [TF_STATE_LIST, TF_SHOW, TERRAFORM_APPLY],
};
