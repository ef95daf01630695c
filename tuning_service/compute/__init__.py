"""Where tasks run: Spark, behind a small contract. The only floor that imports pyspark."""
