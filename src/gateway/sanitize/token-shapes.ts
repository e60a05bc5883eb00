/**
 * Tokens that name their issuer: a fixed beginning and an alphabet. Lengths are lower bounds, so that a longer
 * generation of the same token is still known. Sources: the issuers' own pages and the rules of public scanners.
 */
const SHAPES: readonly string[] = [
  // GitHub, GitLab
  'gh[pousr]_[A-Za-z0-9]{30,}',
  'github_pat_[A-Za-z0-9_]{40,}',
  'gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[A-Za-z0-9_.-]{20,}',
  // Slack, Discord, Telegram
  'xox[abeoprs](?:\\.xox[bp])?-[A-Za-z0-9-]{10,}',
  'xapp-[A-Za-z0-9-]{10,}',
  '[MNO][A-Za-z0-9_-]{23,27}\\.[A-Za-z0-9_-]{6}\\.[A-Za-z0-9_-]{27,40}',
  '[0-9]{8,10}:AA[A-Za-z0-9_-]{32,34}',
  // Payment
  '[srp]k_(?:live|test)_[A-Za-z0-9]{16,}',
  'whsec_[A-Za-z0-9+/]{24,}',
  'sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,}',
  'shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}',
  // Secret stores and infrastructure
  'hv[sbr]\\.[A-Za-z0-9_-]{20,}',
  's\\.[A-Za-z0-9]{24}',
  '[A-Za-z0-9]{14}\\.atlasv1\\.[A-Za-z0-9=_-]{50,}',
  'do[opr]_v1_[a-f0-9]{64}',
  'dapi[a-f0-9]{32}(?:-\\d)?',
  'HRKU-[A-Za-z0-9_-]{36,}',
  'pul-[a-f0-9]{40}',
  'pscale_(?:tkn|oauth|pw)_[A-Za-z0-9=._-]{32,}',
  'tskey-[a-z]{2,10}-[A-Za-z0-9-]{20,}',
  'dp\\.(?:pt|st|ct|sa|scim|audit)\\.[A-Za-z0-9._-]{40,}',
  'fm[12]_[A-Za-z0-9+/=_-]{100,}',
  'ops_eyJ[A-Za-z0-9+/=_-]{80,}',
  'AGE-SECRET-KEY-1[A-Z0-9]{58}',
  'LTAI[A-Za-z0-9]{17,24}',
  // Packages and images
  'npm_[A-Za-z0-9]{36}',
  'pypi-[A-Za-z0-9_-]{50,}',
  'rubygems_[a-f0-9]{48}',
  'dckr_[po]at_[A-Za-z0-9_-]{20,}',
  // Observability and paging
  'NR(?:AK|II|JS|RA|IQ)-[A-Za-z0-9_-]{19,}',
  'gl(?:sa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|c_[A-Za-z0-9+/=]{32,})',
  'sntrys_[A-Za-z0-9+/=_-]{40,}',
  'sntryu_[a-f0-9]{64}',
  'dt0[a-z]\\d\\d\\.[A-Z0-9]{24}\\.[A-Z0-9]{64}',
  'pdu[a-z]\\+[A-Za-z0-9_+-]{18,}',
  // Mail, telephony, collaboration
  'SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{32,64}',
  'SK[a-f0-9]{32}',
  'key-[a-f0-9]{32}',
  '[a-f0-9]{32}-us\\d{1,2}',
  'lin_(?:api|oauth)_[A-Za-z0-9]{32,}',
  'AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{24,}',
  'pat[A-Za-z0-9]{14}\\.[a-f0-9]{64}',
  'ntn_[A-Za-z0-9]{40,}',
  'figd_[A-Za-z0-9_-]{36,}',
  'PMAK-[a-f0-9]{24}-[a-f0-9]{34}',
  // Models
  'sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{24,}',
  'hf_[A-Za-z0-9]{30,}',
  'gsk_[A-Za-z0-9]{40,}',
  'xai-[A-Za-z0-9]{60,}',
];

/** One pattern over all shapes. It begins where a word begins and ends where its alphabet ends. */
export const SERVICE_TOKEN = new RegExp(`(?<![A-Za-z0-9])(?:${SHAPES.join('|')})(?![A-Za-z0-9])`, 'g');

/** One of these stands in every match: a single look instead of one for each shape. */
export const SERVICE_TOKEN_SIGN =
  /gh[pousr]_|github_pat|gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-|xox|xapp-|[MNO][\w-]{23,27}\.[\w-]{6}\.|:AA|k_(?:live|test)_|whsec_|sq0|shp[acps]|hv[sbr]\.|s\.[A-Za-z0-9]{24}|\.atlasv1\.|do[opr]_v1_|dapi[a-f0-9]|HRKU-|pul-|pscale_|tskey-|dp\.|fm[12]_|ops_eyJ|AGE-SEC|LTAI|npm_|pypi-|rubygems_|dckr_|NR[AIJR][KISAQ]-|glsa_|glc_|sntry|dt0|pdu[a-z]\+|SG\.|SK[a-f0-9]{32}|key-|-us\d|lin_|AT(?:ATT|CTT|BB)|pat\w{14}\.|ntn_|figd_|PMAK-|sk-|hf_|gsk_|xai-/;
