/** What `aegis init` writes: every section that a first installation needs, with a word of explanation each. */
export const EXAMPLE_CONFIG = `# Aegis configuration. "aegis schema config" prints every key; unknown keys stop the start.
v: 1

# Database, evidence, keys. Directory mode 0700; back it up as a whole.
home: ./.aegis

http:
  host: 127.0.0.1 # put a TLS proxy in front and give Slack its address
  port: 7070

slack:
  workspace: T00000000 # the only workspace whose people are believed
  bot_token: { env: SLACK_BOT_TOKEN }
  signing_secret: { env: SLACK_SIGNING_SECRET }
  fallback_channel: C00000000 # where incidents go when their own channel is gone
  # audit_channel: C00000000 # signed checkpoints of the ledger go here: a witness outside this machine

# Credentials are leased per write and revoked right after it.
vault:
  address: https://vault.example.com:8200
  auth: { method: approle, role_id: { env: VAULT_ROLE_ID }, secret_id: { env: VAULT_SECRET_ID } }

clusters:
  prod-1:
    server: https://kubernetes.example.com:6443
    # ca_file: ./prod-1-ca.pem
    # audit: { source: main, selector: { job: kube-audit, cluster: prod-1 } } # shadow mode then knows who did what
    credentials:
      engine: vault_kubernetes
      read_role: aegis-read
      write_role: aegis-write
      token_role: aegis-call
      # node_role: aegis-nodes # only to cordon and drain nodes: a ClusterRole (README, Kubernetes)

sources:
  loki:
    main: { url: https://loki.example.com }
  prometheus:
    main: { url: https://prometheus.example.com }

teams:
  data:
    environments:
      prod:
        tier: tier2
        autonomy: suggest # read_only | suggest | approve | limited; suggest posts plans and executes nothing
        activation: button # button: a person starts the investigation; auto: every alert does
        channel: C00000000
        on_call: [maya]
        mounts:
          # "nodes: [prod-1-spark-*]" in it gives this team nodes to cordon and drain
          - { kind: kubernetes, cluster: prod-1, namespaces: [spark-jobs] }
          - { kind: jobs, cluster: prod-1, namespaces: [spark-jobs] }
          - { kind: logs, source: main, namespaces: [spark-jobs] }
          - { kind: metrics, source: main, namespaces: [spark-jobs] }

# Takes names of people and places out of what is read, for the entities in policies/redaction.yaml (README).
# recogniser:
#   url: https://presidio.example.com

# How often a team may call; the first row that matches wins. Without rows: 1000 reads and 1 write a second.
# quotas:
#   - { team: data, env: prod, class: read, per_second: 50, burst: 200, per_day: 200000 }

# What a UTC day of looking and thinking may cost; changes, checks and undo are paid from a reserve that no day limits.
# budgets:
#   all: { investigations_per_day_max: 500, calls_per_day_max: 50000, tokens_per_day_max: 100000000, cost_usd_per_day_max: 200 }
#   each_team: { investigations_per_day_max: 200 } # each_trigger likewise
#   teams: { data: { investigations_per_day_max: 300 } } # triggers likewise; "slack" is what people ask for

# In shadow (autonomy read_only or suggest): how people are watched. These are the defaults (README, Shadow mode).
# shadow: { quiet_s: 300, watch_h: 24 }

# Who depends on whom: blast radius and "if nothing is done" come from here.
services:
  - name: nightly-settlement
    team: data
    env: prod
    tier: tier2
    cluster: prod-1
    namespace: spark-jobs
    kind: sparkapplication
    if_down: { text: settlement files are late, within_min: 120 }

# Slack accounts as people. An account that is not here can do nothing.
identity:
  - principal: maya
    name: Maya Ortiz
    slack: [{ workspace: T00000000, user: U00000000 }]
    roles: [{ team: data, env: prod, role: oncall }]

# Each sender has its own secret, bound to the scopes that it may speak for.
triggers:
  - kind: alertmanager
    name: prod-alerts
    secret: { env: ALERTMANAGER_SECRET }
    scopes: [{ team: data, env: prod, cluster: prod-1, namespaces: [spark-jobs] }]
`;
