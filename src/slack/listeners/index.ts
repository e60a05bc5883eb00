// Registry of listeners: one line each. To add one, write `listeners/<name>.ts` and name it here.
import { appMention } from './app-mention.ts';
import { approvalDeny } from './approval-deny.ts';
import { approvalPage } from './approval-page.ts';
import { approvalReview } from './approval-review.ts';
import { approvalSubmit } from './approval-submit.ts';
import { approvalWithdraw } from './approval-withdraw.ts';
import { denySubmit } from './deny-submit.ts';
import { evidenceOpen } from './evidence-open.ts';
import { evidencePage } from './evidence-page.ts';
import { homeOpened } from './home-opened.ts';
import { incidentActivate } from './incident-activate.ts';
import { incidentHandOver } from './incident-hand-over.ts';
import { incidentPlanAgain } from './incident-plan-again.ts';
import { incidentResume } from './incident-resume.ts';
import { incidentStop } from './incident-stop.ts';
import { investigateShortcut } from './investigate-shortcut.ts';
import type { Listener } from './listener.ts';
import { navigation } from './navigation.ts';
import { planJson } from './plan-json.ts';
import { slashAegis } from './slash-aegis.ts';

export const LISTENERS: readonly Listener[] = [
  appMention,
  approvalDeny,
  approvalPage,
  approvalReview,
  approvalSubmit,
  approvalWithdraw,
  denySubmit,
  evidenceOpen,
  evidencePage,
  homeOpened,
  incidentActivate,
  incidentHandOver,
  incidentPlanAgain,
  incidentResume,
  incidentStop,
  investigateShortcut,
  navigation,
  planJson,
  slashAegis,
];
