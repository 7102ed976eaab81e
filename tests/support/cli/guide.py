"""The operators' guide's own option file, whose names differ from the contract's table here and there."""

from __future__ import annotations

GUIDE = """
[validator]
identity_file = "identity.json"
chain_id = "dchat-mainnet-1"
data_dir = "data"
moniker = "my-validator"

[network]
listen_address = "/ip4/0.0.0.0/tcp/7070"
rpc_listen_address = "/ip4/127.0.0.1/tcp/26657"
max_peers = 100
bootstrap_validators = [
    "/ip4/validator1.example.org/tcp/7070/p2p/2c4e4d1de6fbfc05d950fc7e6461be3007dd16e4",
    "/ip4/validator2.example.org/tcp/7070",
]

[consensus]
timeout_propose = 3000
timeout_prevote = 1000
timeout_precommit = 1000
timeout_commit = 5000
create_empty_blocks = false
max_block_size = 10485760

[staking]
initial_stake = 1000000
min_self_delegation = 100000
unbonding_time = 1209600

[slashing]
downtime_jail_duration = 600
double_sign_jail_duration = 86400
missed_blocks_window = 10000
min_signed_per_window = 0.5

[database]
backend = "rocksdb"
cache_size = 2147483648
write_buffer_size = 67108864
max_open_files = 1000
compaction_threads = 4

[observability]
metrics_address = "127.0.0.1:9090"
health_address = "127.0.0.1:8080"
tracing_enabled = true

[tracing]
enabled = true
exporter = "jaeger"
jaeger_endpoint = "http://localhost:14268/api/traces"
service_name = "dchat-validator"
sample_rate = 0.1

[backup]
enable = true
backend = "s3"
s3_bucket = "dchat-validator-backups"
s3_region = "us-east-1"
encryption = "aes-256-gcm"
encryption_key_file = "/etc/dchat/backup.key"
schedule = "0 2 * * *"
retention_days = 30
"""
