"""NATS JetStream as log, store and lessor of shards. Imports domain and ports."""
