"""No-op trials per second: the service beside its peers and beside bare Spark, on the same Spark and the same work."""
