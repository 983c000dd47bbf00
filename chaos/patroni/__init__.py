"""The services on a Postgres that a real failover manager keeps: Patroni, with etcd, three nodes, strict synchronous mode."""
