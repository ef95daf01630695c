"""What runs inside a Spark task. Standard library only: it is shipped to executors that have nothing but Python."""
