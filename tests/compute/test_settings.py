"""What Spark is told about each kind of master."""

import pytest

from tuning_service.compute.settings import SparkSettings

CLUSTERS = ["spark://head:7077", "yarn", "k8s://https://kubernetes.default.svc:443"]


@pytest.mark.parametrize("master", CLUSTERS)
def test_a_driver_does_not_wait_for_executors_before_it_counts_as_started(master):
    conf = SparkSettings(master=master).spark_conf("pools.xml")
    assert conf["spark.scheduler.minRegisteredResourcesRatio"] == "0"
    assert conf["spark.master"] == master


@pytest.mark.parametrize("master", CLUSTERS)
def test_the_deployments_conf_goes_before_the_services(master):
    conf = {"spark.scheduler.minRegisteredResourcesRatio": "0.5", "spark.executor.resource.gpu.amount": "4"}
    made = SparkSettings(master=master, conf=conf).spark_conf("pools.xml")
    assert made.items() >= conf.items()


def test_no_deployment_can_have_trainings_run_twice():
    conf = SparkSettings(master="yarn", conf={"spark.speculation": "true"}).spark_conf("pools.xml")
    assert conf["spark.speculation"] == "false"


def test_a_standalone_master_answers_soon_and_yarn_takes_its_time():
    assert SparkSettings(master="local[2]").connect_s is None
    assert SparkSettings(master="spark://head:7077").connect_s == 30
    assert SparkSettings(master="yarn").connect_s == 300
    assert SparkSettings(master="yarn", connect_timeout_s=7).connect_s == 7


def test_only_a_standalone_master_with_fixed_executors_can_forget_a_driver():
    assert SparkSettings(master="spark://head:7077").may_be_forgotten
    on_demand = {"spark.dynamicAllocation.enabled": "true"}
    assert not SparkSettings(master="spark://head:7077", conf=on_demand).may_be_forgotten
    assert not SparkSettings(master="yarn").may_be_forgotten
    assert not SparkSettings(master="k8s://https://k8s:443").may_be_forgotten
