"""How many threads: the wish, the environment, the affinity, the control group's quota."""

import os

import pytest

from fastmlp import threads
from fastmlp.threads import MOST_THREADS, PRODUCTS_PER_THREAD, available_cores, threads_for


def siblings(processor):
    return f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"


@pytest.fixture
def machine(monkeypatch):
    """Eight hardware threads on four cores, and a dict as the file system."""
    files = {siblings(k): f"{k % 4},{k % 4 + 4}" for k in range(8)}
    monkeypatch.setattr(threads, "_read", lambda path: files.get(str(path), ""))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("FASTMLP_NUM_THREADS", raising=False)
    return files


def may_use(monkeypatch, *processors):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(processors))


@pytest.mark.usefixtures("machine")
def test_hardware_threads_of_one_core_count_once():
    assert available_cores() == 4


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("processors", "cores"), [((0,), 1), ((0, 4), 1), ((0, 1, 4), 2), ((5, 6, 7), 3)]
)
def test_the_affinity_limits_the_cores(monkeypatch, processors, cores):
    may_use(monkeypatch, *processors)
    assert available_cores() == cores


def test_without_a_topology_every_processor_is_a_core(machine):
    for k in range(8):
        del machine[siblings(k)]
    assert available_cores() == 8


def test_without_affinity_all_processors_count(machine, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cores() == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


V2_QUOTAS = {
    "max 100000": 4,
    "100000 100000": 1,
    "150000 100000": 2,
    "1000 100000": 1,
    "900000 100000": 4,
    "300000 100000": 3,
    "": 4,
    "100000 0": 4,
    "nonsense": 4,
}


@pytest.mark.parametrize("content", V2_QUOTAS)
def test_a_quota_of_cgroup_v2_is_rounded_up(machine, content):
    machine["/proc/self/cgroup"] = "0::/user.slice/job"
    machine["/sys/fs/cgroup/user.slice/job/cpu.max"] = content
    assert available_cores() == V2_QUOTAS[content]


@pytest.mark.parametrize("group", ["", "/user.slice", "/user.slice/job"])
def test_the_least_quota_on_the_way_to_the_root_counts(machine, group):
    machine["/proc/self/cgroup"] = "0::/user.slice/job"
    for folder in ("", "/user.slice", "/user.slice/job"):
        machine[f"/sys/fs/cgroup{folder}/cpu.max"] = "300000 100000"
    machine[f"/sys/fs/cgroup{group}/cpu.max"] = "200000 100000"
    assert available_cores() == 2


@pytest.mark.parametrize(("quota", "cores"), [("-1", 4), ("200000", 2), ("50000", 1), ("", 4)])
def test_a_quota_of_cgroup_v1_is_rounded_up(machine, quota, cores):
    machine["/proc/self/cgroup"] = "5:memory:/job\n4:cpu,cpuacct:/job\n3:cpuset:/job"
    machine["/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us"] = quota
    machine["/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us"] = "100000"
    assert available_cores() == cores


def test_in_a_container_the_quota_is_found_at_the_root(machine):
    """The path is the host's there, and its folder does not exist."""
    machine["/proc/self/cgroup"] = "4:cpu,cpuacct:/docker/0123abcd\n0::/"
    machine["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"] = "200000"
    machine["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us"] = "100000"
    assert available_cores() == 2


def test_of_both_hierarchies_the_smaller_quota_counts(machine):
    machine["/proc/self/cgroup"] = "4:cpu:/job\n0::/job"
    machine["/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us"] = "300000"
    machine["/sys/fs/cgroup/cpu/job/cpu.cfs_period_us"] = "100000"
    machine["/sys/fs/cgroup/job/cpu.max"] = "200000 100000"
    assert available_cores() == 2


def test_other_controllers_are_not_looked_at(machine):
    machine["/proc/self/cgroup"] = "5:cpuset:/job\n4:cpuacct:/job"
    for controller in ("cpuset", "cpuacct"):
        machine[f"/sys/fs/cgroup/{controller}/job/cpu.cfs_quota_us"] = "100000"
        machine[f"/sys/fs/cgroup/{controller}/job/cpu.cfs_period_us"] = "100000"
    assert available_cores() == 4


def test_this_machine_has_cores_to_use(monkeypatch):
    monkeypatch.delenv("FASTMLP_NUM_THREADS", raising=False)
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert threads_for(None) == available_cores()


@pytest.mark.usefixtures("machine")
def test_a_wish_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    for wish in (1, 3, 40, MOST_THREADS):
        assert threads_for(wish, products=1) == wish


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("text", "count"), [("1", 1), (" 3 ", 3), ("256", 256), ("", 4)])
def test_the_environment_variable_replaces_the_cores(monkeypatch, text, count):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", text)
    assert threads_for(None) == count


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("products", "count"),
    [(0, 1), (1, 1), (PRODUCTS_PER_THREAD, 1), (2 * PRODUCTS_PER_THREAD, 2), (10**12, 4)],
)
def test_a_small_job_gets_fewer_threads(products, count):
    assert threads_for(None, products) == count


@pytest.mark.parametrize("text", ["0", "-1", "257", "two", "2.0", "²", "1e1", "9" * 5000])
def test_a_wrong_environment_variable_is_one_line_that_names_it(monkeypatch, text):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", text)
    with pytest.raises(ValueError, match=r"^FASTMLP_NUM_THREADS must be an integer from 1 to 256"):
        threads_for(None)


@pytest.mark.parametrize("wish", [0, -1, 257, 300])
def test_a_wish_out_of_range_is_one_line(wish):
    with pytest.raises(
        ValueError, match=rf"^threads must be an integer from 1 to 256, not {wish}$"
    ):
        threads_for(wish)


@pytest.mark.parametrize("wish", ["2", 2.0, True, [2]])
def test_a_wish_of_the_wrong_type_is_one_line(wish):
    with pytest.raises(TypeError, match=r"^threads must be an integer from 1 to 256, not "):
        threads_for(wish)
