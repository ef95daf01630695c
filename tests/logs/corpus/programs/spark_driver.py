"""A training whose lines go through Spark's own logger."""

from digits import loader, step, test
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
say = spark._jvm.org.apache.logging.log4j.LogManager.getLogger("Trainer").warn
spark.sparkContext.parallelize([1], 1).count()
for epoch in range(2):
    loss = [step(batch) for batch in loader][-1]
    say(f"Epoch {epoch} train_loss={loss:.4f} val_loss={test()[0]:.4f}")
spark.stop()
